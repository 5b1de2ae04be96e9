"""How `launch.py` makes the environment that all else runs in: `.venv`, by pip, once.

Uses the standard library alone, since nothing else is there yet, and nothing of ours.
"""
