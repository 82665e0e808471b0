"""Estimation: from tables of values to maps with standard errors.

In: a plan's answers, and the designs and values of its jobs. Out: estimated maps (`maps`), and their possible errors
(`bound`): standard errors, bounds that hold with a confidence, and the part of an error that each game causes. It may
not know how values are computed: it runs no model and reads no store.
"""
