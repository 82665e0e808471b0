"""The query language: text becomes a syntax tree, the tree becomes logical plans, and plans become text again.

`dialect` teaches sqlglot the grammar, `tree` holds the nodes of our own syntax tree, `reader` makes them from text,
`writer` writes a tree as text again, `bind` gives the nodes their meaning, and `printer` writes a plan as a query. In:
text, and the catalog that its names are looked up in. Out: plans with the place of each operator in the text, or an
error at the word that is at fault. This room runs no model, and may not know how plans are costed, run, estimated or
shown.
"""
