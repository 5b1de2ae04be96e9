"""Methods that learn from the target's own predictions.

May use the shared parts of adapters.align.deep.
"""
