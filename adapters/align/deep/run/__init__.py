"""How a deep alignment is run: its domains and batches, how it is judged, what it shows.

May use the studio up to studio.engine, and the parts beside.
"""
