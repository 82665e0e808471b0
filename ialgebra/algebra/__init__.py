"""The algebra of the paper as plain values: what a query means, before any decision of how to answer it.

What lives here: the five operators (`operators`), what they are built of (`sources`, `baselines`, `players`, `windows`,
`edits`), the kinds of inputs (`kinds`), labels of players (`labelling`), what a collection is ranked by (`rankings`),
and the interning of nodes (`interning`). Names, numbers, and the tensors that callers pass in come in; interned nodes
go out, and what they make of tensors. This room may not know the syntax of queries, the catalog, models or plans.
"""
