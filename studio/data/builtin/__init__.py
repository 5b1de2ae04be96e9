"""Data sets that need no file: drawn letters, composed scenes, and those of scikit-learn.

May use studio.core and studio.data.items.
"""
