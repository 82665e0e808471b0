"""Case B: adversarial inputs, told from benign ones by their maps in several views.

python -m examples.cases.b [--out FOLDER] [--data FOLDER] [--seeds N] [--smoke]
"""

from examples.cases.command import run

from .case import adversarial

if __name__ == "__main__":
    run(__doc__ or "", adversarial)
