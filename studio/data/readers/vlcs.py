"""`vlcs:FOLDER?domain=Caltech101`: VLCS, five classes from four sets of photos (Fang et al. 2013)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

VLCS = DomainSet(
    title="VLCS",
    get="github.com/facebookresearch/DomainBed, whose download script fetches VLCS.tar.gz",
    layouts=("{domain}", "VLCS/{domain}"),
    classes=5,
    counts={"Caltech101": (1415,), "LabelMe": (2656,), "SUN09": (3282,), "VOC2007": (3376,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(VLCS, rest, options, limits)
