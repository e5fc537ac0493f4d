"""Data sets from Hugging Face's hub: `hf:owner/name[:config][:split]`. Read with lesson 11."""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minigpt.errors import UserError
from minigpt.text.files import Row

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "hf:"


def read_hub_rows(name: str) -> Iterator[Row]:
    """Every row of the split, named by its number. UserError for a set, a configuration or a split there is none of."""
    for number, row in enumerate(_load(name), start=1):
        yield Row(f"{name}, row {number}", json.dumps(row, ensure_ascii=False, default=str), row)


def hub_sha256(name: str) -> str:
    """Of the rows as JSON Lines, whatever files the hub keeps them in."""
    digest = hashlib.sha256()
    for row in read_hub_rows(name):
        digest.update(row.text.encode(errors="surrogatepass") + b"\n")
    return digest.hexdigest()


def _load(name: str) -> "Dataset":
    try:
        import datasets
    except ImportError:
        raise UserError(f'--data {name} needs the package datasets: pip install "minigpt[data]".') from None
    owner_and_name, *rest = name.removeprefix(PREFIX).split(":")
    if len(rest) > 2 or not all([owner_and_name, *rest]):
        raise UserError(f"{name} is not hf:owner/name, hf:owner/name:config or hf:owner/name:config:split.")
    datasets.disable_progress_bars()
    try:
        configs = datasets.get_dataset_config_names(owner_and_name)
        if len(rest) == 1 and rest[0] not in configs:
            rest = [configs[0], *rest]  # one word that names no configuration is a split
        config = rest[0] if rest else configs[0]
        if not rest and len(configs) > 1:
            raise UserError(f"{name} has the configurations {', '.join(configs)}; say which: {name}:{configs[0]}.")
        return datasets.load_dataset(owner_and_name, config, split=rest[1] if len(rest) == 2 else "train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"{name} cannot be had: {str(error).splitlines()[0]}") from None
