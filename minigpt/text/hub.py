"""Read data sets from Hugging Face's hub: `hf:owner/name[:config][:split]`."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text.json_rows import Row
from minigpt.text.table_rows import numbered

PREFIX = "hf:"


def read_hub_rows(name: str) -> Iterator[Row]:
    """Every row of the split, by number. UserError if the data set, configuration or split does not exist."""
    return numbered(name, _load(name))


def hub_sha256(name: str) -> str:
    """SHA-256 of the rows as JSON Lines, whatever file format the hub keeps them in."""
    digest = hashlib.sha256()
    for row in read_hub_rows(name):
        digest.update(row.text.encode(errors="surrogatepass") + b"\n")
    return digest.hexdigest()


def _load(name: str) -> Iterable[dict]:
    parts = re.fullmatch(rf"{PREFIX}([\w-][\w.-]*/[\w-][\w.-]*)(?::([^:]+))?(?::([^:]+))?", name)
    if not parts:
        raise UserError(f"{name} is not hf:owner/name, hf:owner/name:config or hf:owner/name:config:split.")
    path, config, split = parts.groups()
    try:
        import datasets
    except ImportError:
        raise UserError(f'--data {name} needs the package datasets: pip install "minigpt[data]".') from None
    datasets.disable_progress_bars()
    if not datasets.config.HF_HUB_OFFLINE and not Path(path).is_dir() and not _is_reachable(path):
        datasets.config.HF_HUB_OFFLINE = True  # use the cache at once, instead of retrying for minutes
    try:
        try:
            splits = datasets.load_dataset(path, config)
        except ValueError:
            configs = datasets.get_dataset_config_names(path)
            if len(configs) > 1 and config not in configs:
                known = f"{path} has the configurations {', '.join(configs)}"
                raise UserError(f"{name}: {known}; choose one, such as {PREFIX}{path}:{configs[0]}.") from None
            if not config or split:
                raise
            splits, split = datasets.load_dataset(path), config  # a word that is not a configuration is a split
    except UserError:
        raise
    except Exception as error:  # from the library, its HTTP library or the file system
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{name} cannot be loaded: {reason[:300].rstrip('.')}.") from None
    split = split or "train"
    if split not in splits:
        raise UserError(f"{name} has no split {split!r}; it has {', '.join(splits)}.")
    return splits[split]


def _is_reachable(path: str) -> bool:
    """Whether the hub is reachable: it answers a request for this data set, even with "not found"."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(path, timeout=10)
    except (HfHubHTTPError, ValueError):
        return True
    except Exception:  # from the HTTP library: no network, or the hub is blocked
        return False
    return True
