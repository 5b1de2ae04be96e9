"""Methods that adapt while they predict, batch by batch.

`base` holds what they share: statistics of the batch in place of the source's. May use the shared parts of
adapters.align.deep.
"""
