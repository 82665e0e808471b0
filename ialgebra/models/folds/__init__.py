"""Folded networks: the graph of a network in; a graph of the same function with fewer and faster operations, out.

`steps` says what the steps of a graph are, `folding` puts several of them into one, and `fused` holds the kernels that
run these. No module is written to. Nothing here knows a profile, a pass or a query.
"""
