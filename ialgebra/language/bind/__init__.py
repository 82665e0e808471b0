"""Binding: the words of a syntax tree get their meaning from the catalog.

`query` binds a whole query: `operands` its model calls, `views` the views that it reads, `ranking` its HAVING, ORDER BY
and LIMIT; `scope`, `plans` and `models` are what these share. `inputs`, `options`, `predicates` and `using` bind the
parts that SET and arguments in Python have too. In: nodes of the syntax tree, and the catalog. Out: values of the
algebra (plans, windows, partitions, baselines, rankings). Every error stands at its own word. Nothing here runs a
model: where only a run can tell more, binding stops and is started again with the answer (`models`). Nothing here
rewrites a plan or computes its cost.
"""
