"""Images with masks on their way to a network: splits, decoding, transforms, batches.

May use studio up to studio.engine.
"""
