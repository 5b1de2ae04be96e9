"""Deep domain adaptation: the network itself learns from both domains, one method a file, by what it goes by.

`base`, `network`, `kernels`, `covariance` and `discriminator` are what the methods share; `run/` and `procedure` are
how they are run. May use studio up to studio.engine, and the wing beside.
"""
