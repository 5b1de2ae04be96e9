"""Ranking: which backbone suits a dataset, and whether a source is worth transferring from, before any training.

May use studio.core, .store, .data, .metrics, .figures and adapters.backbones. `scores/` and `gaps/` are pure
functions of arrays, a file each; `backbones` and `gap` are the two methods; `base` says how a ranking is run.
"""
