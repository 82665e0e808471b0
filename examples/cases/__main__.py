"""The paper's three case studies, one after another: `make cases`, or `python -m examples.cases`."""

from .a.case import inconsistency
from .b.case import adversarial
from .c import case as poisoning
from .command import run

if __name__ == "__main__":
    run(__doc__ or "", inconsistency, adversarial, poisoning)
