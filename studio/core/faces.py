"""The faces of a method: EpisodeHead, Estimator, Learner, and Comparison of several Learners.

Each is small. A method fills one of them and never writes its own loop, optimizer, seed handling or
checkpoint code. Tensors and arrays are named by shape: T episodes, S supports, Q queries, W ways,
N items, D features, C classes, B batch.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.phases import ALL, Optimizer, Phase, Teacher
from studio.core.registry import Method
from studio.core.streams import Step, Stream, Train

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from studio.core.recipe import Recipe


@dataclass(frozen=True)
class Episodes:
    """Many episodes at once. Unequal classes are padded; padding never takes part.

    support [T, S, D] float; labels [T, S] int64 in 0..W-1, -1 where padded;
    query [T, Q, D] float; query_mask [T, Q] bool, False where padded; ways W.
    """

    support: "Tensor"
    labels: "Tensor"
    query: "Tensor"
    query_mask: "Tensor"
    ways: int


class EpisodeHead(Method):
    """Few-shot on frozen features: a pure function from episodes to scores, no state between calls."""

    face = "EpisodeHead"
    uses = ("data.train", "eval.ways", "eval.shots")
    #: looks at all queries of an episode together
    transductive: ClassVar[bool] = False
    #: assumes that every class has the same number of queries; said wherever it is chosen
    assumes_balanced: ClassVar[bool] = False

    def scores(self, episodes: Episodes) -> "Tensor":
        """Scores [T, Q, W], higher is likelier; softmax over W gives probabilities."""
        raise NotImplementedError


class Estimator(Method):
    """What is solved on frozen features, in scikit-learn's manner.

    `classify` estimators see `fit(x, y)`. `align` estimators see `fit(source, labels, target)`:
    there is no argument through which target labels could enter.
    """

    face = "Estimator"

    def fit(self, *arrays: "np.ndarray", **options: Any) -> "Estimator":
        raise NotImplementedError

    def predict_proba(self, x: "np.ndarray") -> "np.ndarray":
        """Probabilities [n, C] for features [n, d]; rows sum to 1."""
        raise NotImplementedError

    def predict(self, x: "np.ndarray") -> "np.ndarray":
        """Class indices [n] for features [n, d]."""
        return self.predict_proba(x).argmax(axis=1)

    def state(self) -> "dict[str, np.ndarray]":
        """The fitted arrays, to be stored in a checkpoint."""
        raise NotImplementedError

    def load_state(self, state: "dict[str, np.ndarray]") -> None:
        """The inverse of `state`."""
        raise NotImplementedError


@dataclass
class LearnerContext:
    """What a Learner gets to build its modules from."""

    backbone: Any  # adapters.backbones.Backbone: a module with embed(images [B, 3, H, W]) -> [B, D]
    classes: list[str]
    seed: int = 0
    image_size: int = 224
    training: bool = True  # False: to predict only, so that what only training needs is left out
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PretrainStage:
    """A learner that is trained first, once, and the names of those that go on from it.

    `overrides` are the recipe keys, dotted, in which its training differs; None: `model.checkpoint` is it already.
    """

    learner: "Learner"
    overrides: dict[str, Any] | None
    followed_by: tuple[str, ...]


class Comparison(Method):
    """Several learners trained on the same images in one run, and one table of them."""

    face = "Comparison"
    uses = ("data.train", "train.epochs", "train.lr")
    #: one that does not fit the backbone is left out with a warning instead of ending the run
    skips: bool = True

    def learners(self) -> "dict[str, Learner]":
        """What is compared, by the name it has in the table; differences are to the first."""
        raise NotImplementedError

    def pretrain_stage(self, recipe: "Recipe") -> PretrainStage | None:
        """What some of them go on from; None where each starts anew."""
        return None


class Learner(Method):
    """What trains. The one loop (`studio.engine.loop`) draws the batches, sums the losses, steps, logs and saves."""

    face = "Learner"
    uses = ("data.train", "train.epochs", "train.lr")
    #: what it learns from; with several, `losses` gets a batch of each: `batch.source`, `batch.target`
    streams: ClassVar[tuple[Stream, ...]] = (Train,)
    #: `state` holds the whole network; False: only what was trained, and the backbone is loaded anew
    whole: ClassVar[bool] = True
    #: `start_from` wants the features of the training images under the untouched backbone
    needs_features: ClassVar[bool] = False
    #: it can classify before its first step, so that start is a candidate too when the best epoch is kept (epoch 0)
    starts_solved: ClassVar[bool] = False
    #: it adapts while it predicts: each batch is answered, and moves the network for the next
    online: ClassVar[bool] = False
    #: nothing is trained: weights between those of `model.checkpoint` and where it started are tried (`alphas`)
    interpolates: ClassVar[bool] = False
    module: "nn.Module"

    def setup(self, context: LearnerContext) -> "nn.Module":
        """Builds and keeps `self.module`; parameters to train have requires_grad True."""
        raise NotImplementedError

    def start_from(self, features: "np.ndarray", labels: "np.ndarray") -> None:
        """Called once before training where `needs_features`: features [N, D], labels [N]."""

    def losses(self, batch: Any, at: Step) -> "dict[str, Tensor] | tuple[dict[str, Tensor], dict[str, Tensor]]":
        """Named scalar losses, means over the rows of a batch; their sum is minimised.

        Beside them, as the second of a pair, values that are only logged. `batch` has images [B, 3, H, W] and labels
        [B] or soft [B, C]; with several streams it has a batch of each. `at` says how far the training is.
        """
        raise NotImplementedError

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        """The optimizers by name, for a method that alternates."""
        return {ALL: Optimizer(self.param_groups(lr, weight_decay))}

    def phases(self) -> list[Phase]:
        """What happens in a step, in turn; by default all `losses` move all that is trained, once."""
        return [Phase("train", self.losses)]

    @classmethod
    def adapts(cls) -> bool:
        """It looks at a domain of which it is told no truth: one of its streams is blind."""
        return any(stream.blind for stream in cls.streams)

    def teachers(self) -> list[Teacher]:
        """Copies within the module that slowly follow a part of it; the loop moves them after each step."""
        return []

    def moved(self, at: Step) -> None:
        """Called after each step, when its optimizers have moved; what is remembered belongs into `module`."""

    def judged(self, values: dict[str, float]) -> None:
        """Called after each epoch with the numbers that were measured, such as `loss` on the validation images."""

    def predict(self, images: "Tensor") -> "Tensor":
        """Scores [B, C] (logits) for images [B, 3, H, W]."""
        raise NotImplementedError

    def features(self, images: "Tensor") -> "Tensor | None":
        """Features [B, D] of images [B, 3, H, W] as the network sees them now, for maps; None where it has none."""
        return None

    def explain(self, images: "Tensor") -> "tuple[str, Tensor] | None":
        """Where the network looks: a name and heat [B, h, w] in 0..1 for images [B, 3, H, W]; None if it can't tell."""
        return None

    def export_module(self) -> "nn.Module | None":
        """`module` as the layers of its backbone and a head alone, for export to other libraries; None if it isn't."""
        return self.module

    def compile(self) -> None:
        """Has torch.compile speed the module up, in place."""
        self.module.compile()

    def train_mode(self, training: bool) -> None:
        """Puts the modules into training or evaluation mode; called where the mode changes, not at every step."""
        self.module.train(training)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer. By default biases and norms get no weight decay."""
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "lr": lr, "weight_decay": 0.0},
        ]

    def state(self) -> dict[str, "Tensor"]:
        """The tensors a checkpoint must hold; by default the whole module."""
        return self.module.state_dict()

    def load_state(self, state: dict[str, "Tensor"]) -> None:
        """The inverse of `state`."""
        self.module.load_state_dict(state)
