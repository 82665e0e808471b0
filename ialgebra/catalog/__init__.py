"""What names mean in a session: models, inputs, windows, views, interpreters and settings.

In: what was registered. Out: the meaning of a name, or a BindError that suggests the nearest name. `catalog` holds the
names; `inputs` makes entries of tensors. This room may not know queries, plans, or how a model is run.
"""
