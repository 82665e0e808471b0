"""Binding: the words of a syntax tree get their meaning from the catalog.

`query` binds a whole query: `operands` its model calls, `views` the views that it reads, `ranking` its HAVING, ORDER BY
and LIMIT; `scope` and `plans` are what these share. `inputs`, `options`, `predicates` and `using` bind the parts that
SET and arguments in Python have too. In: nodes of the syntax tree, and the catalog. Out: values of the algebra (plans,
windows, partitions, baselines, rankings). Every error stands at its own word. Nothing here rewrites a plan, knows its
cost or looks at the values of an answer.
"""
