"""Benchmarks; `python -m benchmarks` runs them all and writes JSON and Markdown tables to bench-out/."""
