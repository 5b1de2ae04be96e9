"""`domainnet:FOLDER?domain=clipart`: DomainNet, six looks of 345 classes (Peng et al. 2019)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

DOMAINNET = DomainSet(
    title="DomainNet",
    get="ai.bu.edu/M3SDA: a zip a domain (about 17 GB), as published or cleaned",
    layouts=("{domain}",),
    classes=345,
    counts={
        "clipart": (48_833, 48_129),
        "infograph": (53_201, 51_605),
        "painting": (75_759, 72_266),
        "quickdraw": (172_500,),
        "real": (175_327, 172_947),
        "sketch": (70_386, 69_128),
    },
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(DOMAINNET, rest, options, limits)
