"""The paper's three case studies, one after another: `make cases`, or `python -m examples.cases`."""

from .a.__main__ import main as inconsistency
from .command import run

CASES = (inconsistency,)

if __name__ == "__main__":
    run(__doc__, *CASES)
