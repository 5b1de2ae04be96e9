"""`pacs:FOLDER?domain=art_painting`: PACS, photos, paintings, cartoons and sketches (Li et al. 2017)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

PACS = DomainSet(
    title="PACS",
    get="domaingeneralization.github.io (about 0.2 GB)",
    layouts=("{domain}", "kfold/{domain}", "PACS/{domain}"),
    classes=7,
    counts={"art_painting": (2048,), "cartoon": (2344,), "photo": (1670,), "sketch": (3929,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(PACS, rest, options, limits)
