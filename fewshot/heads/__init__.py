"""Heads on frozen features, one file each: pure functions over many episodes at once.

Support [T, S, D] and query [T, Q, D] go in, scores [T, Q, W] come out; shared steps are in `common.py`.
"""
