"""An exported folder onto the Hugging Face Hub.

The token comes from HF_TOKEN alone: it is handed to the client, and neither kept, logged nor shown.
"""

import os
import re
from pathlib import Path
from typing import Any

from studio.core.errors import HubError, UsageError

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def check_push(repo: str) -> str:
    """The token to push to `repo` ("ORG/NAME") with. Raises UsageError before anything is written."""
    if not REPO.fullmatch(repo):
        raise UsageError(f"push: expected ORG/NAME, found {repo!r}.")
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        raise HubError("push: HF_HUB_OFFLINE is set, so nothing is sent. Unset it, or leave the push out.")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise UsageError(
            "push: set HF_TOKEN in the environment to a token with write access (huggingface.co/settings/tokens)."
        )
    return token


def push(folder: Path, repo: str, public: bool = False) -> str:
    """Uploads `folder` to the model repository `repo` in one commit and returns its address.

    A new repository is private unless `public`. Raises UsageError where an existing one is public and that
    was not asked for, HubError where the hub refuses or can't be reached (HF_ENDPOINT names another hub).
    """
    token = check_push(repo)
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        address = api.create_repo(repo, private=not public, exist_ok=True)
        _refuse_if_open(api.repo_info(repo), repo, public)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Export of Transfer Studio")
    except UsageError:
        raise
    except Exception as error:  # of the client, of its HTTP library, of the system
        raise HubError(f"push to {repo}: {_reason(error, token)} The exported files are in {folder}.") from None
    return str(address)


def _refuse_if_open(info: Any, repo: str, public: bool) -> None:
    if not info.private and not public:
        raise UsageError(
            f"push: {repo} is there already and public. Say --public (on the page: tick the box), or name another."
        )


def _reason(error: Exception, token: str) -> str:
    """What went wrong in one sentence; a chained traceback could hold request headers, this never does."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"the hub refused the token of HF_TOKEN ({status}): it needs write access to this name."
    if status is not None:
        return f"the hub answered {status}."
    text = " ".join(str(error).split())[:200].replace(token, "***")
    return f"the hub can't be reached ({type(error).__name__}: {text})."
