"""Results: what a user holds of an answer, and every form in which it is shown or kept.

`attribution` is one map, `relation` the sequence of them with their cost; `table`, `notebook`, `exports` and `plots`
show them, `files` keeps them, `provenance` says what they were made from, `assemble` makes them of estimated maps. In:
estimated maps, and the plan that they come from. Out: values that know no session: a relation may be saved, loaded and
drawn without one. This room may run no model and may not know how an answer was asked for.
"""
