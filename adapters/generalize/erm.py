"""Empirical risk minimisation: all sources as one."""

from adapters.generalize.base import Generalizer
from studio.core.registry import register


@register("generalize/erm")
class Erm(Generalizer):
    """The mean risk of the sources, and nothing else: what every other method is compared with.

    Vapnik 1998. With equal tuning few methods are better on average (Gulrajani and Lopez-Paz 2021).
    """

    title = "ERM"
    paper = "Vapnik 1998, Statistical Learning Theory"
    formula = r"\min_f \; \frac{1}{n} \sum_i \ell(f(x_i), y_i)"
