"""`office31:FOLDER?domain=amazon`: Office-31, three domains of things in an office (Saenko et al. 2010)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

OFFICE31 = DomainSet(
    title="Office-31",
    get="faculty.cc.gatech.edu/~judy/domainadapt (about 80 MB)",
    layouts=("{domain}/images", "{domain}"),
    classes=31,
    counts={"amazon": (2817,), "dslr": (498,), "webcam": (795,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(OFFICE31, rest, options, limits)
