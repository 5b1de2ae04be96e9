"""Methods that change the network's batch normalisation.

May use the shared parts of adapters.align.deep.
"""
