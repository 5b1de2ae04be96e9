"""Transfer Studio: pretrained vision models moved to new classes, new looks and new tasks.

from studio import run, load_checkpoint
result = run("quickstart", {"eval.shots": 1})
load_checkpoint(result.checkpoint).predict(["cat.jpg"])
"""

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "compare", "compare_versions", "embed", "estimate", "load_checkpoint", "nearest", "run", "save_version",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """What is named in `__all__` is imported when first asked for: `import studio` costs nothing."""
    if name in __all__:
        from studio import api

        return getattr(api, name)
    raise AttributeError(f"module 'studio' has no attribute {name!r}")
