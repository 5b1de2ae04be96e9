"""Sweeps: many runs of one recipe through the queue, their keys chosen by Optuna. May use what studio.runs may."""
