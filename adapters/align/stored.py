"""What a checkpoint keeps of an alignment as arrays: each kind by its name, which its class registers.

    class Classifier(Stored, numbered=("1nn", "linear")): ...
    class NearestNeighbour(Classifier, kind="1nn"): ...

`Classifier.restore(classifier.stored())` is the same classifier again. Adding a kind is adding a class.
"""

from typing import Any, ClassVar

import numpy as np

from studio.core.errors import StoreError, nearest

Arrays = dict[str, np.ndarray]


def part(arrays: Arrays, name: str) -> Arrays:
    """The arrays called `NAME.something`, as `something`."""
    head = f"{name}."
    return {key.removeprefix(head): array for key, array in arrays.items() if key.startswith(head)}


class Stored:
    """The root of a family is a direct subclass; `numbered` are its kinds as checkpoints before names count them."""

    kind: ClassVar[str] = ""
    _kinds: ClassVar[dict[str, type["Stored"]]]
    _numbered: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, kind: str = "", numbered: tuple[str, ...] = (), **options: Any) -> None:
        super().__init_subclass__(**options)
        if Stored in cls.__bases__:
            cls._kinds, cls._numbered = {}, numbered
        if kind:
            other = cls._kinds.get(kind)
            if other is not None and other.__module__ != cls.__module__:
                raise ValueError(f"two classes are stored as {kind!r}: {other.__module__} and {cls.__module__}")
            cls.kind, cls._kinds[kind] = kind, cls

    def arrays(self) -> Arrays:
        """What it is made of again, without its kind."""
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Any:
        """The inverse of `arrays`."""
        raise NotImplementedError

    def stored(self) -> Arrays:
        """`arrays`, and the kind as UTF-8 bytes uint8 [n]."""
        return {"kind": np.frombuffer(self.kind.encode(), np.uint8).copy(), **self.arrays()}

    @classmethod
    def restore(cls, arrays: Arrays) -> Any:
        """What `stored` these. Raises StoreError for a kind that nothing here is."""
        kind, rest = arrays["kind"], {name: array for name, array in arrays.items() if name != "kind"}
        if kind.dtype == np.uint8:
            name = kind.tobytes().decode()
        else:  # as they were numbered before: the number, and behind it that of the classes where there is one
            name, rest = cls._numbered[int(kind[0])], {"classes": kind[1:], **rest}
        if name not in cls._kinds:
            raise StoreError(f"The checkpoint holds a {cls.__name__} {name!r}.{nearest(name, cls._kinds)}")
        return cls._kinds[name].from_arrays(rest)
