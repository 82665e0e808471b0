"""Estimation: from tables of values to maps with standard errors.

In: a plan's answers, and the designs and values of its jobs. Out: estimated maps (`maps`), and how wrong they may be
(`bound`): standard errors, bounds that hold with a confidence, and what part of an error each game brings. It may not
know how values are computed: it runs no model and reads no store.
"""
