"""Domain generalization: learned from several labelled domains, for one that was never seen; one method a file.

May use the studio up to studio.engine, the classifier of adapters.finetune, and statistics of adapters.align.deep.
`base` holds the face that the methods fill, `domains` reads and checks the sources, `training` trains under a selection
rule, `table` leaves each domain out.
"""
