"""Nearest class mean."""
from studio.core.faces import EpisodeHead
from studio.core.registry import register


@register("fewshot/prototypes")
class Prototypes(EpisodeHead):
    """Nearest class mean."""
