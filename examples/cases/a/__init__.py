"""Case A, model inconsistency: two networks disagree about a picture, and an analyst is to say which one is right.

`panels` makes the pictures, `maps` asks for their explanations, `analysts` are the machines that judge by these, and
`__main__` puts the tables and pictures together: `python -m examples.cases.a`.
"""
