"""The Hugging Face Hub and its local cache: safetensors only, and one clear sentence where it can't be reached."""

import json
from pathlib import Path
from typing import Any

from studio.core.errors import HubError

WITHOUT_HUB = (
    "Usable without it: pip/tf_efficientnet_lite0 (or lite1, lite2), file:FOLDER, store/CHECKPOINT, "
    "or untrained timm/NAME?random; `launch.py backbones` lists what is here."
)


def fetch(repo: str, revision: str | None = None, weights: str | None = "model") -> Path:
    """The folder of the local cache that holds config and weights of `repo`; downloaded where the hub is reached.

    `weights` is the file name without `.safetensors`, or None where only the config is wanted. HF_HUB_OFFLINE and
    HF_HOME are honoured. Raises HubError.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    files = ["config.json", "preprocessor_config.json", "processor_config.json"]
    if weights:
        files += [f"{weights}.safetensors", f"{weights}-*-of-*.safetensors", f"{weights}.safetensors.index.json"]
    named = f"{repo}@{revision}" if revision else repo
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files))
    except GatedRepoError as error:
        raise HubError(
            f"{named}: its owner asks for consent first: accept it on the model's page, then set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{named}: the hub has {repo}, but no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"{named}: the hub has no such model, or it is private and HF_TOKEN is not set.") from error
    except Exception as error:  # the client raises its own, httpx's and the system's
        raise HubError(
            f"{named}: the model hub can't be reached, and the local cache does not hold it. {WITHOUT_HUB}"
        ) from error
    if weights and not list(folder.glob(f"{weights}*.safetensors")):
        raise HubError(
            f"{named}: there are no safetensors weights of it; pickled ones (.bin, .pt) are never loaded. {WITHOUT_HUB}"
        )
    return folder


def cached() -> dict[str, dict[str, Any]]:
    """Models of the local cache that hold config and safetensors: their config by repository name."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    found = {}
    for repo in repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            config = revision.snapshot_path / "config.json"
            if config.is_file() and any(revision.snapshot_path.glob("*.safetensors")):
                found[repo.repo_id] = json.loads(config.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))
