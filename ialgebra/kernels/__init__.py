"""The numerical core: arrays and tensors in, arrays and tensors out.

Here are designs of coalitions (`coalitions`, `pairs`), hybrid inputs from masks (`compose`), tapped forward passes of a
module (`forward`), estimates of Shapley and Banzhaf values with their errors (`estimators`, `ladder`, `covariance`),
and content names of inputs and their hybrids (`naming`). Nothing here knows plans, registered names,
windows or queries.
"""
