"""Detection: a pretrained backbone that learns to find and name things, one detector a file.

`task` says what it is, `procedure` runs it, `data/` and `run/` are what it alone needs. May use the studio up to
studio.engine; training is the one loop's (`studio.engine.loop`).
"""
