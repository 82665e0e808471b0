"""The only place where forward passes for queries run.

In: a physical plan, the catalog's networks, the session's store, and how to run (a tape, a deadline, a lane). Out: the
tables of values that the plan asks for, what they cost, and every finished row in the store. `execution` is one run;
`ends`, `coalitions` and `asking` evaluate its three kinds of rows; `tables` holds the values so far, `batches` hands
work to the `lanes`, `pace` and `tape` say how batches are run, and `memory` reads the `store` for one plan. This room
may estimate nothing, and may not know how a query was written, nor in which round it is.
"""
