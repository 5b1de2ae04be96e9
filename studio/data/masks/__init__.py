"""Class maps: what the files of masks mean, which image each belongs to, outlines and run lengths, tables of classes.

May use studio.core and the rest of studio.data that is no reader; the readers and `studio.data.items` stand on it.
"""
