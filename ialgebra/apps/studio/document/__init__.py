"""The document of a page: the text of its query, which gestures write anew and controls read.

`shapes` reads a window as a list of shapes, `controls` a FROM as model, input, edits and what they are compared with;
`gestures` changes the text, `view` says what the controls show for it, `completion` what may stand at the cursor and
where the text is wrong. In: texts, gestures as a page sends them, a catalog. Out: texts, and values for a page. This
room runs no model, and knows no sockets.
"""
