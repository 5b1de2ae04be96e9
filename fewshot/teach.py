"""Taught checkpoints: made of a support set, brought to life, and taught more without touching the backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fewshot.calibrate import Calibration, calibrate
from fewshot.expected import expected_of_support
from fewshot.predictor import SupportPredictor, one_by_one
from fewshot.support import SupportSet
from studio.core import registry
from studio.core.errors import DataError, StoreError, UsageError
from studio.core.faces import EpisodeHead
from studio.core.home import Home
from studio.core.procedure import Procedure
from studio.data.features.cache import embed_images
from studio.data.preprocess import Preprocess
from studio.store import Checkpoint, Manifest, Store


def keep(
    store: Store,
    manifest: Manifest,
    head: EpisodeHead,
    support: SupportSet,
    network: Mapping[str, Tensor] | None = None,
) -> Checkpoint:
    """Puts a support set, and the network where it was trained, into the store.

    Classes, the calibration on the support set itself and the accuracy to expect go into `manifest`; of classes that
    its `extra["learned"]` names, the network has seen the photos.
    """
    with torch.no_grad():
        calibration = calibrate(one_by_one(head), support)
        expected = expected_of_support(one_by_one(head), support, manifest.extra.get("learned", ()))
    made = manifest.model_copy(
        update={
            "classes": support.classes,
            "metrics": {**manifest.metrics, **expected},
            "extra": {**manifest.extra, **asdict(calibration)},
        }
    )
    return store.put(made, {**(network or {}), **support.tensors()}, support.files())


def head_of(checkpoint: Checkpoint) -> EpisodeHead:
    """The head that a checkpoint was made with. Raises UsageError where it was made by something else."""
    cls = registry.get(checkpoint.manifest.method)
    if not issubclass(cls, EpisodeHead):
        raise UsageError(
            f"{checkpoint.id} was made by {checkpoint.manifest.method}; only a few-shot head on a frozen backbone "
            f"can be taught further. To build on its network, name it as model.backbone: store/{checkpoint.id}."
        )
    return cls(cls.Params(**checkpoint.manifest.params))


def backbone_of(checkpoint: Checkpoint, home: Home) -> Any:
    """The backbone that made the support features.

    Raises StoreError where the one of that name has other weights now: its features would mean something else.
    """
    made = checkpoint.manifest.backbone
    backbone = registry.backbone(made["spec"], home=home, image_size=made["image_size"])
    if backbone.hash != made["hash"]:
        raise StoreError(
            f"{checkpoint.id} was taught with other weights of {made['spec']} than are found now "
            f"({made['hash'][:12]}, found {backbone.hash[:12]}). Bring those weights back, or teach anew."
        )
    backbone.preprocess = Preprocess.from_dict(checkpoint.manifest.preprocess)
    return backbone


def restore(checkpoint: Checkpoint, device: str, home: Home) -> SupportPredictor:
    """The checkpoint, ready to predict."""
    extra = checkpoint.manifest.extra
    calibration = Calibration(extra.get("temperature", 1.0), extra.get("unknown_below"))
    backbone = backbone_of(checkpoint, home).to(device)
    return SupportPredictor(head_of(checkpoint), SupportSet.load(checkpoint), calibration, backbone, device)


def taught(
    checkpoint: Checkpoint, predictor: SupportPredictor, images: Mapping[str, Sequence[Image.Image]]
) -> tuple[Manifest, SupportSet]:
    """Manifest and support set of a new checkpoint that has also seen `images`, RGB images by class, known or new.

    `predictor` is the checkpoint brought to life. A correction is taught the same way: the photo, under its right
    class. The old checkpoint stays, and the new one's lineage names it; its metrics are left behind, since they are
    not those of the new one.
    Raises DataError where there is no image, or a class has no name.
    """
    labels = [label.strip() for label, given in images.items() for _ in given]
    photos = [image for given in images.values() for image in given]
    if not photos:
        raise DataError("There is nothing to teach: expected at least one photo of a class.")
    if not all(labels):
        raise DataError("A class to teach needs a name; found an empty one.")
    features = embed_images(photos, predictor.backbone, predictor.device)
    if not np.isfinite(features).all():
        raise DataError("The backbone gives no finite numbers for these photos; look at them.")
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    manifest = checkpoint.manifest.model_copy(
        update={
            "id": "", "created": "", "tensors": {}, "files": {}, "metrics": {},
            "lineage": {"parent": checkpoint.id, "taught": counts},
        }
    )  # fmt: skip
    names = [f"taught: {label}" for label in labels]
    return manifest, predictor.support.with_photos(features, labels, names, photos)


class TaughtProcedure(Procedure):
    """A procedure whose checkpoints carry a support set, and can be taught without training."""

    def network_of(self, checkpoint: Checkpoint) -> Mapping[str, Tensor]:
        """The tensors of a trained network beside the support set; none on a frozen backbone."""
        return {}

    def head_to_teach(self, checkpoint: Checkpoint, predictor: SupportPredictor) -> EpisodeHead:
        return head_of(checkpoint)

    def teach(
        self,
        checkpoint: Checkpoint,
        images: Mapping[str, Sequence[Image.Image]],
        *,
        device: str,
        home: Home,
        store: Store,
        predictor: SupportPredictor | None = None,
    ) -> Checkpoint:
        """A new checkpoint whose support set has `images` too, by class; the network stays as it is."""
        predictor = predictor or self.restore(checkpoint, device, home, store)
        manifest, support = taught(checkpoint, predictor, images)
        head = self.head_to_teach(checkpoint, predictor)
        return keep(store, manifest, head, support, self.network_of(checkpoint))
