"""Re-identification: the same individual again, in another image, from another camera.

May use the studio up to studio.engine and the backbones. One method a file.
"""
