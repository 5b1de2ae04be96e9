"""What a run of translation does around the training: it judges, shows samples, reports; and a stored one translates.

May use the rest of the folder and the studio up to studio.engine.
"""
