"""Programs for people: the command line with its shell, the notebook magic, the demo, and the packaged photo network.

In: arguments, keys, notebook cells. Out: text, pictures, pages and exit codes. `cli` reads arguments, `shell` prompts
for statements, `printer` shows answers. They use a session's public methods as any script would; nothing imports them.
"""
