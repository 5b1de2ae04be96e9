"""What a segment run does beside training: looking at whole images or windows, answers, the report.

May use the studio up to studio.engine.
"""
