"""Programs for people: the command line with its shell, the notebook magic, the demo, and the packaged photo network.

In: command-line arguments, keys, notebook cells. Out: text, pictures, pages and exit codes. `cli` reads arguments,
`shell` prompts for statements, `printer` shows answers. They call a session's public methods, as a user's script does.
No other room imports them.
"""
