"""The façade: `connect()` gives a Session, in which models and inputs are registered and queries are asked.

In: Python objects to register, and statements as text. Out: relations, and errors placed in the text. `session` holds
the methods, `registration` does what the `register_…` methods say, `statements` holds one file for each statement of
the language, `history` and `script` keep what was done and write it down. Nothing here plans a query or runs a model;
`answering` does.
"""
