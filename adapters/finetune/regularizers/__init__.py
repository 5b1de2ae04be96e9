"""Regularizers of transfer, one a file: a term beside the loss that keeps what the backbone knew before.

They combine with every fine-tuning method. `KNOWN` finds the files: adding one is adding one file.
"""

import importlib
import pkgutil

from adapters.finetune.regularizers.base import Forward, Regularizer

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
KNOWN: dict[str, type[Regularizer]] = {
    cls.name: cls for cls in sorted(Regularizer.__subclasses__(), key=lambda cls: cls.name)
}

__all__ = ["KNOWN", "Forward", "Regularizer"]
