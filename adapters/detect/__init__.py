"""Detection: a pretrained backbone that learns to find and name things, one detector a file.

May use studio.core, .store, .data, .metrics, .figures. Training is the one loop's (`studio.engine.loop`).
"""
