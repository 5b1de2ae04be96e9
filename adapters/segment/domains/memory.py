"""Device memory that adapting needs, from its recipe alone."""

from studio.core.recipe import Recipe

#: with an encoder of transformers: SegFormer-B5's weights, gradient, two moments, teacher and pretrained copy; and what
#: DAFormer's authors measured, 9.7 GB, of which two images of 512 pixels are the rest
TRANSFORMER_GB, TRANSFORMER_PIXEL_GB = 2.5, (9.7 - 2.5) / (2 * 512**2)
#: with a convolutional one: twice what a ResNet-101 below DeepLabV3 keeps for the backward pass
CNN_GB, CNN_PIXEL_GB = 2.0, 5e-6
SIDE = 224  # of images whose size is the backbone's own


def memory_gb(recipe: Recipe) -> float:
    """Gigabytes in fp32; benchmarks/segment_memory.py counts what backward keeps, without the memory of kernels."""
    base, a_pixel = CNN_GB, CNN_PIXEL_GB
    if recipe.model.backbone.startswith("hf/"):
        base, a_pixel = TRANSFORMER_GB, TRANSFORMER_PIXEL_GB
    side, settings = recipe.model.image_size or SIDE, recipe.train
    rows = min(settings.micro_batch or settings.batch_size, settings.batch_size)
    return base + recipe.method_class().views * rows * side**2 * a_pixel
