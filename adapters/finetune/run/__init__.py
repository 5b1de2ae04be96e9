"""How classifiers are trained, cross-validated, interpolated, compared and reported.

May use the studio up to studio.engine, and the methods beside.
"""
