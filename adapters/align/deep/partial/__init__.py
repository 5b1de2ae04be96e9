"""Methods for a target that has some of the source's classes alone.

May use the shared parts of adapters.align.deep.
"""
