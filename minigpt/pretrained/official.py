"""Download the official GPT-2 weights to `weights/`, checked by SHA-256. Read with lesson 06."""

import shutil
from pathlib import Path

from huggingface_hub import hf_hub_download

from minigpt import reading
from minigpt.errors import UserError

WEIGHTS = Path("weights")  # the official models, one folder per size
PROJECT_WEIGHTS = Path(__file__).parents[2] / "weights"  # those of the checkout that this package is run from
OWNER = "openai-community"  # their publisher on Hugging Face's hub
# SHA-256 of each size's model.safetensors there: files may change on the hub, but only these are accepted.
TENSORS = {
    "gpt2": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    "gpt2-medium": "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd",
    "gpt2-large": "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce",
    "gpt2-xl": "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
}
REVISION = {"gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e"}  # the other sizes: the newest, checked below
# The vocabulary, which the four sizes share.
VOCABULARY = {
    "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


def places(name: str = "") -> list[Path]:
    """Where a size is looked for: in the working directory's weights/, then in the checkout's."""
    found = {place.resolve(): place / name for place in (PROJECT_WEIGHTS, WEIGHTS)}
    return list(found.values())[::-1]


def fetch(name: str, weights: Path = WEIGHTS) -> Path:
    """Fill `weights/<name>` with config.json, model.safetensors, vocab.json and merges.txt; existing files are kept.

    A file is downloaded to incoming/ and moved only if its SHA-256 is right, so a broken file never has the final
    name: it is renamed to `<file>.wrong`, and a UserError names it.
    """
    folder = weights / name
    incoming = folder / "incoming"
    pinned = {"config.json": None, **VOCABULARY, "model.safetensors": TENSORS[name]}
    for file, sha256 in pinned.items():
        if (folder / file).exists():
            check(folder / file, folder / file, sha256)
            continue
        try:
            arrived = hf_hub_download(f"{OWNER}/{name}", file, revision=REVISION.get(name), local_dir=incoming)
        except Exception as error:  # from the hub's library, its HTTP library or the file system
            reason = " ".join(str(error).split())
            raise UserError(
                f"{file} of {OWNER}/{name} could not be downloaded ({type(error).__name__}: {reason[:200]}). "
                f"Try again, set HF_ENDPOINT to a mirror, or put the file into {folder}."
            ) from None
        check(Path(arrived), folder / file, sha256)
        Path(arrived).replace(folder / file)
    shutil.rmtree(incoming, ignore_errors=True)
    return folder


def check(path: Path, place: Path, sha256: str | None) -> None:
    """UserError if the file's SHA-256 is not the official one; the file is renamed to `<place>.wrong`."""
    if sha256 is None:
        return
    found = reading.sha256(path)
    if found != sha256:
        aside = place.with_name(place.name + ".wrong")
        path.replace(aside)
        raise UserError(
            f"{place} is not the official file: its SHA-256 is {found}, the official one is {sha256}. "
            f"It was renamed to {aside}; run the download again."
        )
