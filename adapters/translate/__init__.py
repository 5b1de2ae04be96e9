"""Translation: images of one look become images of another, one method a file.

`task` says what it is, `procedure` runs it, `networks/`, `losses/`, `data/` and `run/` are what it alone needs. May use
the studio up to studio.engine; training is the one loop's (`studio.engine.loop`).
"""
