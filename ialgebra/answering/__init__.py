"""Answering: one query from its syntax tree to its relations.

A query is bound (`binding`) and lowered (`question`), then planned, executed and estimated round by round (`loop`),
until its bounds hold. `rounds` decides that: `forecast` and `allocation` tell it how many rows the next round needs,
`contest` which elements of a ranking may still be in the answer. `running` adds up what all executions of a query take.
In: a parsed query, the session's catalog and store, a seed and a strategy. Out: relations, or for EXPLAIN the text of a
plan. It may not know the session: its history, its settings and its locks.
"""
