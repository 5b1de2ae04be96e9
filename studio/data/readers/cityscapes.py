"""`cityscapes:FOLDER?fog=BETA`: Cityscapes (Cordts et al. 2016), and Foggy Cityscapes (Sakaridis et al. 2018).

Masks are the label ids of gtFine, of which 19 are trained on; the test split has no public truth and is left out.
"""

from dataclasses import replace

from studio.core.errors import DataError
from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

BETAS = ("0.005", "0.01", "0.02")
OPTIONS = {"fog": f"Foggy Cityscapes with this attenuation in place of the clear images: {', '.join(BETAS)}"}
MASKS = "gtFine/{split}/{city}/{stem}_gtFine_labelIds.png"
CLEAR = PublishedSet(
    title="Cityscapes",
    get="cityscapes-dataset.com, with an account: leftImg8bit_trainvaltest.zip (11 GB) and gtFine_trainvaltest.zip "
    "(0.25 GB)",
    layouts=(("leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", MASKS),),
    table=KNOWN["cityscapes"],
    counts={"train": 2975, "val": 500},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there, or not in this fog."""
    beta = options.get("fog")
    if beta not in (None, *BETAS):
        raise DataError(f"fog={beta}: Foggy Cityscapes has {', '.join(BETAS)}; 0.02 is the thickest.")
    return read_published(CLEAR if beta is None else foggy(beta), rest, limits)


def foggy(beta: str) -> PublishedSet:
    image = f"leftImg8bit_foggy/{{split}}/{{city}}/{{stem}}_leftImg8bit_foggy_beta_{beta}.png"
    return replace(
        CLEAR,
        title=f"Foggy Cityscapes (beta {beta})",
        get="cityscapes-dataset.com, with an account: leftImg8bit_trainvaltest_foggy.zip (30 GB) and the masks of "
        "gtFine_trainvaltest.zip (0.25 GB)",
        layouts=((image, MASKS),),
    )
