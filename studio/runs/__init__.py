"""The one runner and its executors: from a recipe to a run, from a run to a checkpoint that predicts.

May use studio.core, .store, .data, .metrics, .figures, and the wings only through the registry.
"""
