"""The paper's three case studies, one after another: `make cases`, or `python -m examples.cases`."""

from .a.__main__ import main as inconsistency
from .b.case import adversarial
from .command import run

CASES = (inconsistency, adversarial)

if __name__ == "__main__":
    run(__doc__, *CASES)
