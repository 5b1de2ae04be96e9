"""`store/CHECKPOINT`: the backbone of a checkpoint of ours, with the weights it was trained to."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.backbones.face import Backbone, linear
from adapters.backbones.positions import fit_positions
from adapters.backbones.sources.folder import open_folder
from adapters.backbones.sources.request import Request, source
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.rights import Rights
from studio.store import Checkpoint, Store
from studio.store.exchange import CONFIGS

PREFIX = "backbone."  # of a backbone's tensors in a checkpoint, where they moved


def _listing(rights: Rights) -> list[dict[str, Any]]:
    return [
        {
            "name": "store/CHECKPOINT",
            "usable": False,
            "about": "the backbone of a checkpoint, see `launch.py checkpoints`",
        }
    ]


@source("store", _listing)
def load(request: Request) -> Backbone:
    home = request.home or Home.find()
    checkpoint = Store(home).checkpoint(request.name)
    described = checkpoint.manifest.backbone
    if "layout" in checkpoint.manifest.extra:
        return _imported(checkpoint, home, request)
    if not described.get("spec"):
        raise UsageError(f"model.backbone: checkpoint {checkpoint.id} was made without a backbone.")
    trained = (
        {_own_name(name): tensor for name, tensor in checkpoint.tensors(PREFIX).items()} if request.weights else {}
    )

    def base(size: int | None, weights: bool) -> Backbone:
        architecture = described.get("architecture")
        return registry.backbone(
            described["spec"], home=home, image_size=size, weights=weights, architecture=architecture
        )

    own = described.get("image_size")
    size = request.image_size or own
    if request.weights:
        backbone = _filled(lambda weights: base(own, weights), trained, checkpoint.id)
        if not trained and backbone.hash != described.get("hash", backbone.hash):
            raise UsageError(
                f"model.backbone: the weights of {described['spec']} are not those that {checkpoint.id} was made with."
            )
        backbone = backbone if size == own else _resized(backbone, base(size, False))
        backbone.keep_source_head(_head(checkpoint))
    else:
        backbone = base(size, False)
    backbone.spec = request.spec
    return backbone


def _imported(checkpoint: Checkpoint, home: Home, request: Request) -> Backbone:
    """A folder of timm or transformers that was imported, laid out again for as long as it is read."""
    with TemporaryDirectory(dir=home.uploads, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for file in checkpoint.manifest.files.keys() & set(CONFIGS):
            (folder / file).write_bytes(checkpoint.file(file))
        if request.weights:
            save_file(checkpoint.tensors(), folder / "model.safetensors", {"format": "pt"})
        return open_folder(folder, request)


def _head(checkpoint: Checkpoint) -> nn.Linear | None:
    """The linear classifier that was trained with the backbone."""
    tensors = checkpoint.tensors("head.")
    if tensors.keys() != {"head.weight", "head.bias"}:
        return None
    return linear(tensors["head.weight"], tensors["head.bias"])


def _filled(make: Callable[[bool], Backbone], trained: dict[str, Tensor], checkpoint: str) -> Backbone:
    """The backbone with its trained tensors: over an untrained one where they are all, else over the original."""
    backbone = make(not trained)
    if trained and trained.keys() < backbone.state().keys():
        backbone = make(True)
    state = backbone.state()
    strange = sorted(trained.keys() - state.keys())
    if strange:
        raise UsageError(
            f"model.backbone: checkpoint {checkpoint} holds more than a backbone ({strange[0]}, ...): adapters of its "
            "method. Name its own backbone instead, or a checkpoint of a method that trains the backbone itself."
        )
    backbone.load_state({**state, **trained})
    return backbone


def _resized(backbone: Backbone, empty: Backbone) -> Backbone:
    """`empty` (the same network for another image size) with the weights of `backbone`."""
    wanted = empty.state()
    empty.load_state({name: fit_positions(name, tensor, wanted[name]) for name, tensor in backbone.state().items()})
    return empty


def _own_name(name: str) -> str:
    return name.removeprefix(PREFIX).removeprefix("module.")
