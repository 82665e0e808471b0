"""The algebra of the paper as plain values: what a query means, before anything is decided about how to answer it.

What lives here: the five operators (`operators`), what they are built of (`sources`, `baselines`, `players`, `windows`,
`edits`), the kinds of inputs (`kinds`), labels of players (`labelling`), what a collection is ranked by (`rankings`),
and the interning of nodes (`interning`). In: names, numbers, and tensors that callers pass in. Out: interned
nodes, and the arrays and tensors computed from them. This room may not know the syntax of queries, the catalog, models
or plans.
"""
