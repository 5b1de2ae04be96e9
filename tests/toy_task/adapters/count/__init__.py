"""A toy task in one folder: counts the bright objects in an image. What a reader of CONTRIBUTING would write.

May use the studio up to studio.engine.
"""
