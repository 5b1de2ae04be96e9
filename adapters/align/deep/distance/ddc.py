"""DDC: the means of the domains' features are brought together."""

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import mean_distance
from studio.core.registry import register
from studio.core.streams import Step


@register("align/ddc")
class Ddc(DeepLearner):
    """MMD^2 with the linear kernel between the bottleneck's features. Tzeng et al. 2014, eq. 1-2."""

    title = "Deep domain confusion"
    paper = "Tzeng et al. 2014, Deep Domain Confusion: Maximizing for Domain Invariance"
    formula = r"\mathrm{MMD}^2 = \big\lVert \frac{1}{n}\sum_i f(x^s_i) - \frac{1}{m}\sum_j f(x^t_j) \big\rVert^2"
    Params = AligningParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        return {"means": self.strength(at) * mean_distance(source.features, target.features)}
