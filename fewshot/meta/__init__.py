"""Learning to learn: methods that train a network on episodes of some classes, to be used on other classes.

One file a method; `procedure.py` runs them all. May use what the few-shot wing may use, and the wing's own rooms.
"""
