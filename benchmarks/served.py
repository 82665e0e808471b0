"""The explainers of a shapiq that needs a newer Python, served over a pipe to whoever has the model.

In, on standard input: pickled requests (explainer, settings, players, rows, seed), and the values of the coalitions
that are asked for. Out, on standard output: ("ask", packed coalitions, their number), then ("answer", values) or
("error", why). Run by the interpreter that `benchmarks.newest` installs; imports neither torch nor ialgebra.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings

import numpy as np


def main() -> None:
    asks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    warnings.simplefilter("ignore")
    import shapiq

    def say(*message: object) -> None:
        pickle.dump(message, answers)
        answers.flush()

    def game(coalitions: np.ndarray) -> np.ndarray:
        present = np.atleast_2d(coalitions).astype(bool)
        say("ask", np.packbits(present).tobytes(), len(present))
        return np.frombuffer(pickle.load(asks)).copy()  # some explainers write into what they are given

    say("answer", shapiq.__version__)
    while True:
        try:
            kind, settings, players, rows, seed = pickle.load(asks)
        except EOFError:
            return
        try:
            approximator = getattr(shapiq, kind)(n=players, random_state=seed, **settings)
            found = approximator.approximate(rows, game).get_n_order_values(1)
            say("answer", np.asarray(found, dtype=np.float64).tobytes())
        except Exception as error:
            say("error", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
