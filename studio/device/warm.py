"""Models kept in memory between uses, the least recently used evicted first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from studio.device.probe import GB


@dataclass
class _Kept:
    model: Any
    size_gb: float


class WarmModels:
    """A cache of built models under a budget in GB. Safe between threads.

    Keys are the caller's, such as `(checkpoint, device)`. Evicting only lets go of a model: whoever still
    uses it keeps it. `on_evict` is then told the device it was on.
    """

    def __init__(self, budget_gb: float, on_evict: Callable[[str], None] | None = None) -> None:
        self.budget_gb = budget_gb
        self._on_evict = on_evict or (lambda device: None)
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._building: dict[Hashable, Future[Any]] = {}

    def get(self, key: Hashable, build: Callable[[], Any], size_gb: float | None = None) -> Any:
        """The model of this key, built now if it is not kept; callers that ask meanwhile share one build.

        The size is that of the tensors and arrays in the model unless given. A model over the whole budget
        is returned and not kept. What `build` raises is raised to every caller that waited for it.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key].model
            building = self._building.get(key)
            if building is None:
                mine = self._building[key] = Future()
        if building is not None:
            return building.result()
        return self._build(key, build, size_gb, mine)

    def evict(self, key: Hashable) -> bool:
        """Lets go of one model; False if it was not kept."""
        with self._lock:
            kept = [self._kept.pop(key)] if key in self._kept else []
        return self._gone(kept)

    def clear(self) -> None:
        """Lets go of all models."""
        with self._lock:
            kept = list(self._kept.values())
            self._kept.clear()
        self._gone(kept)

    @property
    def size_gb(self) -> float:
        """What the kept models occupy."""
        with self._lock:
            return self._total()

    def keys(self) -> list[Hashable]:
        """The kept keys, least recently used first."""
        with self._lock:
            return list(self._kept)

    def _build(self, key: Hashable, build: Callable[[], Any], size_gb: float | None, mine: "Future[Any]") -> Any:
        try:
            model = build()
            out = self._keep(key, _Kept(model, measure_gb(model) if size_gb is None else size_gb))
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(model)
        finally:
            with self._lock:
                self._building.pop(key, None)
        self._gone(out)
        return model

    def _keep(self, key: Hashable, new: _Kept) -> list[_Kept]:
        """Keeps a model and returns those that had to go for it."""
        if new.size_gb > self.budget_gb:
            return []
        out = []
        with self._lock:
            while self._kept and self._total() + new.size_gb > self.budget_gb:
                out.append(self._kept.popitem(last=False)[1])
            self._kept[key] = new
        return out

    def _total(self) -> float:
        return sum(kept.size_gb for kept in self._kept.values())

    def _gone(self, kept: list[_Kept]) -> bool:
        """Tells the devices of evicted models; whether there were any."""
        found = bool(kept)
        devices = {str(part.device) for one in kept for part in _arrays(one.model)}
        kept.clear()  # so that nothing here refers to the models when a device's cache is emptied
        for device in sorted(devices):
            self._on_evict(device)
        return found


def measure_gb(model: Any) -> float:
    """GB of all tensors and arrays in a module, or in an object that holds some; each counts once.

    Raises TypeError where there are none, since such a model would never count against a budget.
    """
    sizes = {id(part): part.nbytes for part in _arrays(model)}
    if not sizes:
        raise TypeError(f"no tensors were found in {type(model).__name__}; pass size_gb")
    return sum(sizes.values()) / GB


def _arrays(holder: Any, depth: int = 6) -> Iterator[Any]:
    """Tensors and arrays of a module, or of what an object holds down to a few levels."""
    if hasattr(holder, "nbytes") and hasattr(holder, "device"):
        yield holder
    elif callable(getattr(holder, "parameters", None)):
        yield from holder.parameters()
        yield from holder.buffers()
    elif depth > 0:
        parts = holder if isinstance(holder, (dict, list, tuple)) else getattr(holder, "__dict__", {})
        for part in parts.values() if isinstance(parts, Mapping) else parts:
            yield from _arrays(part, depth - 1)
