"""`visda2017:FOLDER?domain=train`: VisDA-2017, rendered objects to photos of them (Peng et al. 2017)."""

from studio.data.domain_sets import OPTIONS as OPTIONS
from studio.data.domain_sets import DomainSet, read_domains
from studio.data.files.limits import Limits
from studio.data.items import Dataset

VISDA2017 = DomainSet(
    title="VisDA-2017",
    get="github.com/VisionLearningGroup/taskcv-2017-public: train.tar and validation.tar",
    layouts=("{domain}",),
    classes=12,
    counts={"train": (152_397,), "validation": (55_388,)},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the domain is not there."""
    return read_domains(VISDA2017, rest, options, limits)
