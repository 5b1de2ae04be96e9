"""Films: clips of frames as batches, and what the methods for films share.

May use adapters.translate and what that may use.
"""
