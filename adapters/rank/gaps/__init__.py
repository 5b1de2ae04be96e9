"""Measures of the gap between two domains: pure functions of features [n, d] and [m, d], no labels.

May use adapters.rank.checks, adapters.rank.scores and studio.core. Higher means further apart.
"""

from adapters.rank.gaps.a_distance import a_distance
from adapters.rank.gaps.coral import coral
from adapters.rank.gaps.mmd import mmd

GAPS = {"mmd": mmd, "a-distance": a_distance, "coral": coral}

__all__ = ["GAPS", "a_distance", "coral", "mmd"]
