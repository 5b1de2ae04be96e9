"""Looks: colours and light of an image, taken from other images or rendered. Pure functions of tensors in 0..1.

May use studio.core and studio.data alone. One file a look; `restyle` picks one for training images.
"""
