"""Networks that several methods share: generators from image to image, and discriminators of patches.

May use torch and nothing of ours.
"""
