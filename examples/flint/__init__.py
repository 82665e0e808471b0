"""FLINT (Parekh, Mozharovskyi and d'Alché-Buc, NeurIPS 2021) measured anew: the paper's figures beside ours.

`python -m examples.flint` runs everything. `samples` has the data, `nets` the networks and their training, `measuring`
the figures of a dictionary on test data, `ablations` the ways in which one is learned, `lime` the peer that the paper
compares with, `report` the tables.
"""
