"""Official checkpoints from the Hugging Face hub: downloaded, resumably, to its cache, or read there
offline."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from presets.errors import ModelError


def fetch(repository: str, filename: str, tell: Callable[[str], None]) -> Path:
    """A file of a hub repository, downloaded unless the cache has it; a download that broke off is resumed.

    `HF_ENDPOINT` names another hub, `HF_HUB_OFFLINE=1` forbids any traffic, `HF_HOME` moves the cache; the
    library itself shows the progress.

    Args:
        repository: "owner/name".
        filename: in the repository.
        tell: called with lines for the user: the size, and where the file goes.

    Raises:
        ModelError: offline and not in the cache, no such file, or the hub cannot be reached.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT") or None
    offline = constants.HF_HUB_OFFLINE
    try:
        if not offline:
            size = get_hf_file_metadata(hf_hub_url(repository, filename, endpoint=endpoint)).size or 0
            tell(f"{repository}/{filename}: {size / 1e9:.2f} GB, into {constants.HF_HUB_CACHE}")
        return Path(hf_hub_download(repository, filename, endpoint=endpoint, local_files_only=offline))
    except LocalEntryNotFoundError:
        why = "it is not in the cache and HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise ModelError(
            f"{repository}/{filename}: {why}; `airband models convert FILE` takes a checkpoint you have"
        ) from None
    except HfHubHTTPError as error:
        raise ModelError(f"{repository}/{filename}: the hub refused: {str(error).splitlines()[0]}") from None
    except Exception as error:  # of the library's HTTP client, which has been three different ones
        raise ModelError(f"{repository}/{filename}: the download broke off ({error}); run it again") from None
