"""Methods for a target that has classes which the source has not: they are called unknown.

May use the shared parts of adapters.align.deep.
"""
