"""One file for each kind of data; its name is the scheme, as in `folder:photos`. May use studio.core and studio.data.

Adding a kind is adding a file with `read(rest, options, limits) -> Dataset | FeatureSet`, which raises DataError, and
`OPTIONS`: what may follow the question mark, with a few words each (None: the reader judges them itself).
"""
