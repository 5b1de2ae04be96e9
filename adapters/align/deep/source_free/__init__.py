"""Methods that start from a trained checkpoint and need its source no more.

May use the shared parts of adapters.align.deep.
"""
