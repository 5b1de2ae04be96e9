"""Segmentation across domains: a labelled source, a target without masks, one method a file.

`base` is what they share, `procedure` runs them, `run/` judges and shows. May use the rest of adapters.segment.
"""
