"""The wing of learning from a handful: episodes, heads on frozen features, meta-learners, teaching.

One file a head below `heads/`. May use the studio up to studio.engine; never studio.runs or .ui.
"""
