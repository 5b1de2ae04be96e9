"""Backbones: pretrained networks from pip packages, timm, Hugging Face, folders and the store, behind one face.

May use studio.core, studio.store and studio.data; timm and transformers are imported when a model is built.
`face` is what all show, `timm_face`, `hf_face` and `conv_face` build them, `sources/` reads their names.
"""

from adapters.backbones.face import Backbone

__all__ = ["Backbone"]
