"""Sweeps: many runs of one recipe through the queue, their keys chosen by Optuna, or the parts of one table.

`space` says what is varied, `score` what is compared; `study` and `table` are the two kinds of `sweep`. May use what
studio.runs may.
"""
