"""The planner: from the plans of a query to batches of rows, and the words that explain them.

In: logical plans, the catalog, a strategy, and for each round an effort. Out: a physical plan, with what was decided
and what was rejected. In order: `graph` indexes all plans of the query; `check` and `meaning` say whether they are
defined; `rewrite` applies the `laws`; `lower` and `boards` make games, once a query; `sampling`, `fuse`, `cost` and
`search` size them, once a round; `verify` checks the outcome, `explain` and `formats` tell it. It runs no model, and it
may not know values of rows, sessions or texts of queries.
"""
