"""Photos without labels become data: what a classifier of the labels so far proposes, which image is next, which
label is likely wrong. Projects themselves are kept by `studio.store.labelling` and opened as data by `labels:NAME`.

May use studio.runs and below; never studio.ui. Rules are found through the registry.
"""
