"""Sweeps: many runs of one recipe through the queue, their keys chosen by Optuna.

`space` says what is varied, `score` what is compared, `study` does it. May use what studio.runs may.
"""
