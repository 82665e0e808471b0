"""Case A, model inconsistency: two networks disagree about a picture, and an analyst is to say which one is right.

python -m examples.cases.a [--out FOLDER] [--data FOLDER] [--seeds N] [--smoke]
"""

from ..command import run
from .case import inconsistency

if __name__ == "__main__":
    run(__doc__ or "", inconsistency)
