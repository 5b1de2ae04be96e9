"""Runs and checkpoints on disk: atomic files, tensors as blobs named by their SHA-256, a SQLite index
that may be deleted at any time, resume state, import and export. Nothing here is ever a pickle.
Uses studio.core only, and imports torch where tensors are touched, so that listing runs stays quick.
"""

from studio.store.checkpoint import Checkpoint, Manifest
from studio.store.runs import RunFolder
from studio.store.store import Store

__all__ = ["Checkpoint", "Manifest", "RunFolder", "Store"]
