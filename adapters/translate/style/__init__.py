"""Style transfer: networks that see style (`feature_maps`), its losses, and one method a file.

May use adapters.translate and what that may use.
"""
