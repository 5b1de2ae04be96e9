"""Features of frozen backbones: an image goes through once, its features lie in shards.

May use studio.core, .device, .store and the rest of studio.data.
"""
