"""One file a tab. Each has `build(shared)`, which lays the tab out and ties its events.

May use studio.ui and below. Handlers are short: they ask `Actions` and show the answer.
"""
