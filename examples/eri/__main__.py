"""The claim of "Explainability Requires Interactivity", measured: `python -m examples.eri`.

python -m examples.eri [--out FOLDER] [--data FOLDER] [--seeds N] [--smoke]
"""

from examples.cases.command import run

from .claim import claim

if __name__ == "__main__":
    run(__doc__ or "", claim)
