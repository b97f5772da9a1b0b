"""Files of models on the Hugging Face hub: from the cache of this machine, or downloaded."""

import os
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from benchmarks.files.download import DownloadError, explained

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SECONDS = 5  # how long the hub may take to answer at all


def cached(repository: str, names: Sequence[str]) -> Path | None:
    """The first of these files that is on this machine already; the hub is not asked."""
    found = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def file(repository: str, names: Sequence[str]) -> Path:
    """The first of these files that the repository has.

    The hub is asked once before anything is downloaded, because the client's own download tries for more than a minute.

    Raises:
        DownloadError: there is no connection, no such repository or file, or no permission.
    """
    if (path := cached(repository, names)) is not None:
        return path
    endpoint = os.environ.get("HF_ENDPOINT") or None  # read here, because the library reads it only at its import
    for name in names:
        url = hf_hub_url(repository, name, endpoint=endpoint)
        with explained(url):
            try:
                get_hf_file_metadata(url, timeout=SECONDS)
            except EntryNotFoundError:
                continue
            return Path(hf_hub_download(repository, name, endpoint=endpoint))
    raise DownloadError(f"{repository} on the hub has none of: {', '.join(names)}")
