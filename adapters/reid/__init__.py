"""Re-identification: the same individual again, in another image, from another camera; answers are matches.

`task` says what it is, the procedures run it, `data/` and `run/` are what it alone needs; one method a file. May use
the studio up to studio.engine, and the backbones.
"""
