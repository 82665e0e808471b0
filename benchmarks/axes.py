"""Ratings under a slider of the studio: `python -m benchmarks.axes [SECONDS]`. Needs the extra studio, and Chromium.

In: a session of digits with three models and a linear generator, in a browser, whose slider moves for some seconds.
Out: ratings of all models a second, and the processor's time for each. A figure below what it must be exits with 1.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn

import ialgebra
from ialgebra.apps import studio
from ialgebra.generators import LinearGenerator

from .studio import PATIENCE, browser

LEAST = 8.0
"""Ratings a second."""

_EVERY = 16  # milliseconds between two movements of the slider, as of a hand

# Moves the slider for some milliseconds, as a hand does, without letting go; returns what was counted.
_DRAG = """
async ([selector, milliseconds, every]) => {
  const slider = document.querySelector(selector), panel = slider.closest('.axes');
  const count = (name) => Number(panel.dataset[name]);
  const before = [count('events'), count('updates')], began = performance.now();
  for (let step = 0; performance.now() - began < milliseconds; step++) {
    slider.value = String((3 * Math.sin(step / 20)).toFixed(2));
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise((done) => setTimeout(done, every));
  }
  return [count('events') - before[0], count('updates') - before[1], performance.now() - began];
}
"""


def session() -> ialgebra.Session:
    """Three small nets of scikit-learn's digits, and an axis of a linear generator."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    xs = torch.tensor(digits.images, dtype=torch.float32)[:300, None] / 16
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    for name in ("f", "g", "h"):
        con.register_model(name, nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval())
    con.register_input("x", xs[3])
    con.register_input("xs", xs)
    con.register_generator("G", LinearGenerator.fit(xs, 40), collection="xs")
    con.sql("create axis first on G as pca(1)")
    return con


def main(seconds: float = 5.0) -> int:
    """Measure and print; 1 if ratings come more slowly than they must."""
    with browser() as chromium, session() as con, studio.started(con, opening="select * from f(x) budget 60") as served:
        page = chromium.new_page(viewport={"width": 1360, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(served.url)
        page.wait_for_selector(".axes [data-model=h]")
        page.wait_for_selector("body[data-state=done]")
        spent = time.process_time()
        events, updates, took = page.evaluate(_DRAG, ["[data-axis=first]", 1e3 * seconds, _EVERY])
        spent = time.process_time() - spent
    rate = 1e3 * updates / took
    print(f"{events} movements of the slider, {updates} ratings of 3 models in {took / 1e3:.1f} s")
    print(f"{rate:.1f} ratings a second (at least {LEAST:g}), {1e3 * spent / max(updates, 1):.1f} ms of processor each")
    return int(rate < LEAST)


if __name__ == "__main__":
    sys.exit(main(*(float(each) for each in sys.argv[1:])))
