"""The Hugging Face Hub and its local cache: safetensors only, and one clear sentence where it can't be reached."""

from pathlib import Path
from typing import Any

from adapters.backbones.safetensors_only import read_json
from studio.core.errors import HubError, one_line
from studio.core.home import Home
from studio.core.rights import Rights

WITHOUT_HUB = (
    "Usable without it: pip/tf_efficientnet_lite0 (or lite1, lite2), file:FOLDER, store/CHECKPOINT, "
    "or untrained timm/NAME?random; `launch.py backbones` lists what is here."
)


def fetch(repo: str, revision: str | None = None, weights: bool = True, home: Home | None = None) -> Path:
    """The folder of the local cache that holds config and weights of `repo`; downloaded where the hub is reached.

    `weights` False fetches the config alone. HF_HUB_OFFLINE and HF_HOME are honoured. For a visitor of a hosted page
    the owner's token is not sent, and the owner's cache, which that token may have filled, is not looked into.
    Raises HubError.
    """
    from huggingface_hub import errors, snapshot_download

    files = ["config.json", "preprocessor_config.json", "processor_config.json"]
    if weights:
        files += ["model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"]
    named = f"{repo}@{revision}" if revision else repo
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files, **_access(home)))
    except errors.GatedRepoError as error:
        raise HubError(f"{named}: accept its owner's terms on the model's page first, then set HF_TOKEN.") from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{named}: the hub has {repo}, but no revision {revision!r}.") from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(f"{named}: the hub has no such model, or it is private and HF_TOKEN is not set.") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(f"{named}: the hub can't be reached, nor is it in the local cache. {WITHOUT_HUB}") from error
    except Exception as error:  # of the client, of its HTTP library, of the system
        raise HubError(f"{named}: can't be fetched ({one_line(error)}). {WITHOUT_HUB}") from error
    if weights and not list(folder.glob("model*.safetensors")):
        raise HubError(f"{named}: it has no safetensors, and pickles (.bin, .pt) are never loaded. {WITHOUT_HUB}")
    return folder


def _access(home: Home | None) -> dict[str, Any]:
    if home is None or home.rights.local:
        return {}
    return {"token": home.rights.hub_token, "cache_dir": home.root / "hub"}


def cached(rights: Rights) -> dict[str, dict[str, Any]]:
    """Models of the local cache that hold config and safetensors: their config by repository name.

    None for a visitor of a hosted page: what the owner fetched, perhaps with a token, is nobody else's to know.
    """
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    if not rights.local:
        return {}
    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    found = {}
    for repo in repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            config = revision.snapshot_path / "config.json"
            if "main" in revision.refs and config.is_file() and any(revision.snapshot_path.glob("*.safetensors")):
                found[repo.repo_id] = read_json(config)
    return dict(sorted(found.items()))
