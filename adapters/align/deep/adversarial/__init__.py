"""Methods with an adversary: features from which it can't tell the domains apart.

May use the shared parts of adapters.align.deep.
"""
