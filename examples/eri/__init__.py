"""What do explanations of a network with a planted confounder reveal, and what do latent sweeps? (Kirchler et al. 2021)

`planted` makes the pictures and says what a person could name, `maps` reads attribution maps by machine, `sweeps` moves
pictures along axes, and `claim` puts the tables and the picture together. `python -m examples.eri` runs it.
"""
