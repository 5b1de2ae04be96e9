"""What a re-identification learns from and is scored on: who asks whom, and batches of a few images of each individual.

May use studio.core and studio.data.
"""
