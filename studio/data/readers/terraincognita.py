"""`terraincognita:FOLDER?domain=location_38`: TerraIncognita, animals at four camera traps (Beery et al. 2018)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

TERRAINCOGNITA = DomainSet(
    title="TerraIncognita",
    get="github.com/facebookresearch/DomainBed, whose download script sorts the images of lila.science",
    layouts=("{domain}", "terra_incognita/{domain}"),
    classes=10,
    counts={"location_38": (9736,), "location_43": (3970,), "location_46": (5883,), "location_100": (4741,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(TERRAINCOGNITA, rest, options, limits)
