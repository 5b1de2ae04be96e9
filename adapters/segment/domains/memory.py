"""Device memory that adapting needs, from its recipe alone."""

from studio.core.recipe import Recipe

BASE_GB = 2.5  # SegFormer-B5's weights, gradient and two moments, its teacher, the pretrained copy; and the kernels
PAPER_GB = 9.7  # DAFormer on a 2080 Ti, which holds two images of 512 pixels at once
PIXEL_GB = (PAPER_GB - BASE_GB) / (2 * 512**2)
SIDE = 224  # of images whose size is the backbone's own


def memory_gb(recipe: Recipe) -> float:
    """Gigabytes for the largest network here, SegFormer-B5 in fp32; a smaller one needs less.

    By what DAFormer's authors measured; benchmarks/segment_memory.py counts less, without the memory of kernels.
    """
    side, settings = recipe.model.image_size or SIDE, recipe.train
    rows = min(settings.micro_batch or settings.batch_size, settings.batch_size)
    return BASE_GB + recipe.method_class().views * rows * side**2 * PIXEL_GB
