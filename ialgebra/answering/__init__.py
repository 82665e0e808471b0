"""Answering: one query from its syntax tree to its relations.

Here the rooms below meet: a query is bound (`binding`) and lowered (`question`), planned, executed and estimated round
by round (`loop`), until its bounds hold (`rounds`, by the forecasts of `forecast` and `allocation`, and for rankings by
what `contest` finds still in the running). `running` counts what all executions of a query take. In: a parsed query,
the session's catalog and store, a seed and a strategy. Out: relations, or for EXPLAIN a plan in words. It may not know
the session: its history, its settings and its locks.
"""
