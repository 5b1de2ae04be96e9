"""What all translators that train share: a generator, a discriminator, two optimizers, phases in turn."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.seeds import seeded
from adapters.finetune.classifier import load_into
from adapters.translate.losses.adversarial import Gan, fake_loss, fool_loss, r1, real_loss
from adapters.translate.losses.diff_augment import diff_augment
from adapters.translate.networks.discriminators import PatchDiscriminator
from adapters.translate.networks.generators import make_generator, parameters_of
from studio.core.errors import UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.phases import Optimizer, Phase, linear_decay
from studio.core.registry import Params
from studio.core.streams import Batch, Step, Stream, StreamBatches, Target

LAZY = 16  # steps between two penalties, which weigh so much more; Karras et al. 2020, StyleGAN2, section 2.2
GENERATORS = ("generator", "generator_back")
Losses = dict[str, Tensor]
#: what translators look at in `train`: all but train.optimizer and train.weight_decay, for Adam is theirs
TRAIN_KEYS = (
    "epochs", "minutes", "batch_size", "lr", "clip", "seed", "precision", "max_steps", "workers", "ema", "patience",
    "micro_batch", "compile", "processes", "checkpoint_every_s", "repeat", "augment", "zoom",
)  # fmt: skip


class TranslatorParams(Params):
    generator: Literal["resnet", "unet"] = Field("resnet", description="the network that translates")
    width: int = Field(64, ge=4, le=512, description="channels of the generator at full size; fewer are quicker")
    discriminator_width: int = Field(64, ge=4, le=512, description="channels of the discriminator's first layer")
    layers: int = Field(3, ge=1, le=5, description="layers of the discriminator: 3 judge patches of 70 pixels, 2 of 34")
    gan: Gan = Field("lsgan", description="what the two want of each other: squares, hinge or logarithms")
    spectral: bool = Field(False, description="spectral normalisation of the discriminator, which steadies it")
    r1: float = Field(0.0, ge=0, le=1000, description="weight of the penalty on the discriminator's slope; 0 is off")
    diff_augment: Literal["none", "translation", "translation+cutout", "color+translation+cutout"] = Field(
        "none", description="what the discriminator sees is changed alike for real and made images; helps small sets"
    )


class Translator(Learner):
    """A network from images to images in another look, trained against a discriminator.

    `losses` of its phases get images [B, 3, S, S] in -1..1; `predict` gives the same. A subclass names its networks and
    writes `generate` and `discriminate`.
    """

    task = "translate"
    uses = ("data.source", "data.target", "model.image_size", "train.epochs", "train.lr")
    train_keys = TRAIN_KEYS
    Params = TranslatorParams
    streams = (Stream("source", blind=True), Target)
    #: it learns from pairs: one stream whose batch has `targets` beside `images`
    paired: ClassVar[bool] = False
    #: it learns from films: batches have `following` and `last` beside `images`, the frames after them
    clips: ClassVar[bool] = False
    #: it learns the way back too
    both_ways: ClassVar[bool] = False
    #: its generators can be given a style's codes, which their part `style` finds in an image of the wanted look
    takes_style: ClassVar[bool] = False
    #: the module's parts that the phase `generate` trains
    generating: ClassVar[tuple[str, ...]] = ("generator",)
    discriminating: ClassVar[tuple[str, ...]] = ("discriminator",)
    #: the codes [1, codes] of the style that is drawn, where one was shown
    codes: Tensor | None = None
    #: where the training stands: after so many steps of how many
    stands: Step = Step(0, 0)

    def setup(self, context: LearnerContext) -> nn.Module:
        with seeded(context.seed):
            parts = self.networks(context.image_size)
        if not context.training:
            parts = {name: part for name, part in parts.items() if name in GENERATORS}
        self.module = nn.ModuleDict(parts)
        self.made = Made()
        if context.image_size % self.stride:
            raise UsageError(
                f"model.image_size: {context.image_size} is no multiple of {self.stride}, which this generator needs."
            )
        return self.module

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        """All networks by name."""
        ends = ("", "_back") if self.both_ways else ("",)
        generators = {f"generator{end}": self.make_generator(image_size) for end in ends}
        return generators | {f"discriminator{end}": self.make_discriminator() for end in ends}

    def make_generator(self, image_size: int) -> nn.Module:
        return make_generator(self.params.generator, self.params.width, image_size)

    def make_discriminator(self, channels: int = 3) -> nn.Module:
        params = self.params
        return PatchDiscriminator(channels, params.discriminator_width, params.layers, params.spectral)

    @property
    def stride(self) -> int:
        """Sides of what the generator sees are multiples of it."""
        return self.module["generator"].stride

    def generate(self, batch: Any, at: Step) -> Losses:
        """What the generator minimises."""
        raise NotImplementedError

    def discriminate(self, batch: Any, at: Step) -> Losses:
        """What the discriminator minimises."""
        raise NotImplementedError

    def reals(self, batch: Any) -> list[tuple[nn.Module, Tensor]]:
        """Each discriminator with real images of its look, for the penalty on its slope."""
        raise NotImplementedError

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        adam: Callable[..., Any] = partial(torch.optim.Adam, betas=(0.5, 0.999))
        sides = {"generator": self.generating, "discriminator": self.discriminating}
        return {
            name: Optimizer(
                [{"params": parameters_of(self.module[part] for part in parts), "lr": lr}], adam, linear_decay
            )
            for name, parts in sides.items()
        }

    def phases(self) -> list[Phase]:
        phases = [
            Phase("generate", self.generate, trains=("generator",)),
            Phase("discriminate", self.discriminate, trains=("discriminator",)),
        ]
        return phases + ([Phase("penalize", self.penalize, ("discriminator",), every=LAZY)] if self.params.r1 else [])

    def penalize(self, batch: Any, at: Step) -> Losses:
        """The penalty on the slope at real images, at every 16th step and so much heavier."""
        penalties = [r1(discriminator, images).mean() for discriminator, images in self.reals(batch)]
        return {"r1": LAZY * self.params.r1 / 2 * torch.stack(penalties).sum()}

    def fool(self, discriminator: nn.Module, made: Tensor, batch: Batch, beside: Tensor | None = None) -> Tensor:
        """The generator's part of the contest."""
        return batch.mean(fool_loss(self._seen(discriminator, made, beside), self.params.gan))

    def tell_apart(
        self, discriminator: nn.Module, real: Tensor, made: Tensor, batches: tuple[Batch, Batch],
        beside: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The discriminator's part: half of both losses. `batches` are those of the real and the made images."""
        on_real = batches[0].mean(real_loss(self._seen(discriminator, real, beside), self.params.gan))
        on_made = batches[1].mean(fake_loss(self._seen(discriminator, made, beside), self.params.gan))
        return 0.5 * (on_real + on_made)

    def _seen(self, discriminator: nn.Module, images: Tensor, beside: Tensor | None) -> Tensor:
        """Logits of images, `beside` which their source may stand."""
        shown = images if beside is None else torch.cat([beside, images], dim=1)
        return discriminator(diff_augment(shown, self.params.diff_augment))

    def moved(self, at: Step) -> None:
        self.stands = Step(at.step + 1, at.total)

    def predict(self, images: Tensor) -> Tensor:
        return self._drawn("generator", images)

    def predict_back(self, images: Tensor) -> Tensor:
        """The way back, where `both_ways`."""
        return self._drawn("generator_back", images)

    def _drawn(self, name: str, images: Tensor) -> Tensor:
        if self.codes is None:
            return self.module[name](images)
        return self.module[name](images, self.codes.expand(len(images), -1))

    def losses(self, batch: Any, at: Step) -> Losses:
        return self.generate(batch, at)

    def compile(self) -> None:
        for part in self.module.values():
            part.compile()

    def state(self) -> dict[str, Tensor]:
        """The generators alone: what a translator is asked for."""
        return {
            name: tensor for name, tensor in self.module.state_dict().items() if name.partition(".")[0] in GENERATORS
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        own = self.state()
        load_into(nn.ModuleDict({name: self.module[name] for name in GENERATORS if name in self.module}), state, own)


class TwoWays(Translator):
    """One that learns the way back too: a generator and a discriminator for each way."""

    both_ways = True
    generating = ("generator", "generator_back")
    discriminating = ("discriminator", "discriminator_back")

    def told_apart(self, batch: StreamBatches, made: Tensor, made_back: Tensor) -> Losses:
        """What both discriminators minimise of images made of both looks."""
        source, target, net = batch.source, batch.target, self.module
        return {
            "tell_apart": self.tell_apart(net["discriminator"], target.images, made, (target, source)),
            "tell_apart_back": self.tell_apart(net["discriminator_back"], source.images, made_back, (source, target)),
        }

    def reals(self, batch: StreamBatches) -> list[tuple[nn.Module, Tensor]]:
        net = self.module
        return [(net["discriminator"], batch.target.images), (net["discriminator_back"], batch.source.images)]


class Made:
    """What the generator has made of a batch in this step, so that the discriminator's phase need not make it again.

    It is known by where its input lies in memory, so parts of a batch are told apart; what is not there is made anew.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, int, int], Tensor] = {}
        self._step = -1

    def keep(self, name: str, images: Tensor, made: Tensor, at: Step) -> Tensor:
        """Remembers, for this step, what was made of `images`; returns it."""
        if at.step != self._step:
            self._of.clear()
            self._step = at.step
        self._of[name, images.data_ptr(), len(images)] = made.detach()
        return made

    def take(self, name: str, images: Tensor, at: Step, make: Callable[[Tensor], Tensor]) -> Tensor:
        """What was made of `images` in this step, without a gradient."""
        made = self._of.get((name, images.data_ptr(), len(images))) if at.step == self._step else None
        if made is not None:
            return made
        with torch.no_grad():
            return make(images)
