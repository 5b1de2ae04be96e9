"""How a backbone's name is read: `SCHEME/NAME[@tag][?key=value&...]`, and the decorator for what loads it."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters.backbones.face import Backbone
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.registry import Listing, backbone_source
from studio.core.rights import LOCAL, Rights

WHOLE_NUMBERS = {"seed", "image_size", "img_size"}


@dataclass(frozen=True)
class Request:
    """A backbone asked for by name. `options` stand behind the `?`; `weights` False asks for the shape only."""

    spec: str
    name: str
    tag: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    image_size: int | None = None
    home: Home | None = None
    weights: bool = True

    @property
    def rights(self) -> Rights:
        """What may be opened for one who asks."""
        return self.home.rights if self.home else LOCAL

    @property
    def random(self) -> bool:
        """Untrained weights were asked for."""
        return bool(self.options.get("random", False))

    @property
    def seed(self) -> int:
        return self.options.get("seed", 0)

    def arguments(self) -> dict[str, Any]:
        """The options that are neither `random`, `seed` nor the image size: arguments of the network itself."""
        return {key: value for key, value in self.options.items() if key not in {"random", *WHOLE_NUMBERS}}


def source(scheme: str, listing: Listing) -> Callable[[Callable[[Request], Backbone]], Callable[[Request], Backbone]]:
    """Function decorator: makes a loader of Requests known to the registry under `scheme`.

    `registry.backbone(spec, image_size=None, home=None, weights=True, architecture=None)` calls it. With
    `weights=False` the network comes untrained, for a checkpoint to fill; `architecture` (as
    `Backbone.architecture`) then builds it even where its folder or hub is gone.
    """

    def add(loader: Callable[[Request], Backbone]) -> Callable[[Request], Backbone]:
        mark = ":" if scheme == "file" else "/"

        @backbone_source(scheme, listing)
        def load(
            rest: str,
            image_size: int | None = None,
            home: Home | None = None,
            weights: bool = True,
            architecture: dict[str, Any] | None = None,
        ) -> Backbone:
            request = read(scheme + mark, rest, image_size, home, weights)
            if architecture and not weights:
                from adapters.backbones.build import build

                backbone = build(architecture, request.image_size, spec=request.spec)
            else:
                backbone = loader(request)
            backbone.spec = backbone.spec or request.spec
            return backbone

        return loader

    return add


def read(
    scheme: str, rest: str, image_size: int | None = None, home: Home | None = None, weights: bool = True
) -> Request:
    """The Request that a name stands for. A `file:` name is a path and nothing else."""
    spec = scheme + rest
    if not rest.partition("?")[0]:
        raise UsageError(f"model.backbone: {spec!r} names no model behind {scheme!r}.")
    if scheme == "file:":
        return Request(spec, rest, None, {}, image_size, home, weights)
    name, _, query = rest.partition("?")
    name, _, tag = name.partition("@")
    options = dict(_option(spec, part) for part in query.split("&") if part)
    for key in WHOLE_NUMBERS & options.keys():
        if type(options[key]) is not int:
            raise UsageError(f"model.backbone: {spec!r}: {key} is a whole number, found {options[key]!r}.")
    size = image_size or options.get("image_size") or options.get("img_size")
    return Request(spec, name, tag or None, options, size, home, weights)


def _option(spec: str, part: str) -> tuple[str, Any]:
    key, sign, text = part.partition("=")
    if not key.isidentifier():
        raise UsageError(f"model.backbone: {spec!r}: expected key=value behind '?', found {part!r}.")
    return key, _value(text) if sign else True


def _value(text: str) -> Any:
    """A number, true/false/none, a comma list of such as a tuple, or the text itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
