"""The statements of the language, one file each.

In: a statement's syntax tree, and the session's catalog, store and history. Out: a relation. Each file holds one
`StatementKind`, which says how the statement is run, what it defines, which query it asks and what the shell tells of
it; `registry` lists them all. A statement does not know the session, nor the other statements.
"""
