"""The paper's three case studies on real data: every case is a folder with its code, its README and its pictures.

`python -m examples.cases` runs all of them, `python -m examples.cases.a` one. What they share lies here: `fashion`
(images), `nets` (networks and their training), `statistics` (intervals and tables), `byhand` (the same analysis with
Captum), `command` (the options of a case).
"""
