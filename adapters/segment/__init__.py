"""Segmentation: a pretrained backbone that learns which class each pixel is of, one network a file.

`task` says what it is, `procedure` runs it, `data/` and `run/` are what it alone needs. May use the studio up to
studio.engine; training is the one loop's (`studio.engine.loop`).
"""
