"""Losses that several methods share, and what goes with them, one a file.

May use torch and nothing of ours.
"""
