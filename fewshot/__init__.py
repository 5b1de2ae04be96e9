"""The wing of learning from a handful: episodes, heads on frozen features, meta-learners, teaching.

One file a head below `heads/`. May use studio.core, .store, .data, .metrics and .figures; never studio.runs or .ui.
"""
