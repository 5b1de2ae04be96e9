"""How detectors are judged, compared and reported; test-time augmentation and fusion.

May use the studio up to studio.engine, and adapters.detect.
"""
