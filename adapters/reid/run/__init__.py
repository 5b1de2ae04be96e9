"""What a re-identification run does beside its training: embed, rank, show, keep a gallery, answer.

May use the studio up to studio.engine, and adapters.reid.data.
"""
