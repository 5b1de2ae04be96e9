"""Several domains in one text: `NAME=SPEC; NAME=SPEC`, where {folder} stands for one folder that is named once."""

from pydantic import Field

from studio.core.errors import UsageError
from studio.core.registry import Params


class NamedDomains(Params):
    domains: str = Field("", description="NAME=SPEC; NAME=SPEC ... ({folder} stands for params.folder)")
    folder: str = Field("", description="what {folder} in `domains` stands for")

    def data_specs(self) -> list[str]:
        return list(self.specs().values())

    def specs(self) -> dict[str, str]:
        """Data specs by domain name; none where `domains` is empty. Raises UsageError for what names none, or one."""
        if not self.domains:
            return {}
        if "{folder}" in self.domains and not self.folder:
            raise UsageError("params.folder: the domains lie in a folder that must be named: --set params.folder=PATH")
        named = {}
        for text in filter(None, (part.strip() for part in self.domains.split(";"))):
            name, sign, spec = text.partition("=")
            if not sign or not name.strip() or "-" in name:
                raise UsageError(f"params.domains: found {text!r}; expected NAME=SPEC with no hyphen in the name.")
            named[name.strip()] = spec.strip().replace("{folder}", self.folder.rstrip("/\\"))
        if len(named) < 2:
            raise UsageError("params.domains: at least two domains are needed.")
        return named
