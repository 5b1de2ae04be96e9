"""Where backbones come from: one file for each way to name one (`pip/`, `timm/`, `hf/`, `file:`, `store/`, `studio/`).

May use the rest of adapters.backbones, studio.core and studio.store. A source turns a name into an architecture
and a weights file; `adapters.backbones.build` makes the network of it.
"""
