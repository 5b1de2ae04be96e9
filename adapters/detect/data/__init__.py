"""Images with boxes on their way to a detector: splits, shots, domains, batches, mixing.

May use studio up to studio.engine.
"""
