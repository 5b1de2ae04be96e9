"""`officehome:FOLDER?domain=Art`: Office-Home, four domains of everyday things (Venkateswara et al. 2017)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

OFFICEHOME = DomainSet(
    title="Office-Home",
    get="www.hemanthdv.org/officeHomeDataset.html (about 1.1 GB)",
    layouts=("{domain}", "OfficeHomeDataset_10072016/{domain}"),
    classes=65,
    counts={"Art": (2427,), "Clipart": (4365,), "Product": (4439,), "Real World": (4357,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(OFFICEHOME, rest, options, limits)
