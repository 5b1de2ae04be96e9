"""What tables of methods share: named domains, cells that a resumed run finds again, and the files they end in.

May use studio.core and studio.metrics.
"""
