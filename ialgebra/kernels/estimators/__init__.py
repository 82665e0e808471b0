"""The estimators: they estimate the values of players from the values of some coalitions.

Each has its own module, which ends with one frozen `Estimator`: the rows it takes, the design it draws, how it reads
the values of that design, and what this costs. `registry` lists them and chooses among them. In comes a number of
players, a budget of rows and a seed, then values (m, k); out comes a design, then an `Estimate` for each of the k
columns.
Nothing here knows a model, a plan or what the players are.
"""
