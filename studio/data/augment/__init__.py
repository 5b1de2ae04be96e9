"""Random changes of images for training, pure functions of their generator.

May use studio.data alone.
"""
