"""What a run across domains does beside training: the judge that needs no target mask, the report.

May use adapters.segment and the studio up to studio.engine.
"""
