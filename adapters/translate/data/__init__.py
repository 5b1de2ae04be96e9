"""Images of two looks on their way to a network: splits, decoding, crops, batches.

May use studio.core and studio.data.
"""
