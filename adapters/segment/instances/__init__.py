"""Things with a mask each: how they reach a network (data), how it is run, what it says of a photo.

May use adapters.segment, adapters.detect and the studio up to studio.engine; the networks are beside the others.
"""
