"""Methods that bring the domains together by a distance between their features.

May use the shared parts of adapters.align.deep.
"""
