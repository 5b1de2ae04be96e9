"""Methods that ask something of the target's predictions or features, and need no distance between domains.

May use the shared parts of adapters.align.deep.
"""
