"""Device memory that adapting needs, from its recipe alone."""

from studio.core.recipe import Recipe

BASE_GB = 2.5  # weights of SegFormer-B5 with gradient and two moments, its teacher, the pretrained copy, the kernels
PIXEL_GB = 14.5e-6 / 1.024  # what a pixel of a view leaves for the backward pass of SegFormer-B5 in fp32
SIDE = 224  # of images whose size is the backbone's own


def memory_gb(recipe: Recipe) -> float:
    """Gigabytes for the largest network here, SegFormer-B5; a smaller one needs less.

    benchmarks/segment_memory.py measures both constants.
    """
    side, settings = recipe.model.image_size or SIDE, recipe.train
    rows = min(settings.micro_batch or settings.batch_size, settings.batch_size)
    return BASE_GB + recipe.method_class().views * rows * side**2 * PIXEL_GB
