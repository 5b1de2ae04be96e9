"""Files as they lie on disk: the one door for images, archives, folders, annotation files, films, digests.

May use studio.core, .store and studio.data.items.
"""
