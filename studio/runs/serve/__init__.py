"""An exported classifier behind HTTP, without torch: ONNX Runtime or OpenVINO, and a light server.

May use studio.core, studio.data (files and preprocess), studio.store and studio.runs.forms.runners; nothing here, and
nothing that it imports, may import torch.
"""
