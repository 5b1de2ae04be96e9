"""The report card of a dataset, and what it compares images by.

May use studio.core and the rest of studio.data.
"""
