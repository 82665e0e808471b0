"""Results: the objects that a user gets as an answer, and all ways to show and save them.

`attribution` is one map, `relation` the sequence of all maps with their cost. `table`, `notebook`, `exports` and
`plots` show maps, `files` saves them, `provenance` records what they were computed from, `assemble` builds them from
estimated maps. In: estimated maps and their plan. Out: values that need no session: a relation may be saved, loaded and
drawn without one. This room runs no model, and may not know the session or the loop that answers a query.
"""
