"""The tokens of plain text in a file beside it, memory-mapped: encoded once, and never whole in memory.

So that large data stays manageable (document D 8).
"""

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np
from numpy.lib.format import dtype_to_descr, open_memmap, write_array_header_1_0
from tqdm import tqdm

from minigpt.errors import UserError
from minigpt.text.hub import PREFIX
from minigpt.text.plain import documents, text_files, text_sha256
from minigpt.text.tokenizer import Tokenizer

LONGEST_STEM = 120  # bytes of the text's name in that of its tokens; file systems allow names of 255


def tokens_of(name: str, tokenizer: Tokenizer, skip_bad: bool = False) -> np.ndarray:
    """The ids of a text (a name of --data), as a memory map.

    Every document starts with <|endoftext|>, so that the token is between any two, and a text that is generated
    without a prompt starts as a document does.

    The file's name has the SHA-256 of the text and of the tokenizer in it, so a change of either is encoded again. It
    is written under another name and then moved, so no run sees what another is still building. It is beside the text,
    or in the user's cache folder for a data set of the hub and where that folder cannot be written to. It is in NumPy's
    format, whose first lines say how many ids there are: a file that was cut short is written again.
    """
    from_hub = name.startswith(PREFIX)
    stem = name.replace("/", "-").replace(":", "-") if from_hub else Path(name).resolve().name
    stem = os.fsdecode(os.fsencode(stem)[:LONGEST_STEM])
    kind = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    key = hashlib.sha256(f"{text_sha256(name)} {tokenizer_sha256(tokenizer)} {skip_bad}".encode()).hexdigest()[:16]
    file = f"{stem}.{tokenizer.name}-{key}.{kind.name}"
    beside = [] if from_hub else [Path(name).resolve().parent]
    folders = [*beside, Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "minigpt"]
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):  # not there, or not whole
            return open_memmap(folder / file, "r")
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            incoming = folder / f".{file}-{uuid4().hex}"
            out = incoming.open("xb")
        except OSError as error:
            reason = error.strerror
            continue
        try:
            with out:
                encode(name, tokenizer, kind, out, skip_bad)
            incoming.replace(folder / file)
        except BaseException:
            incoming.unlink()
            raise
        return open_memmap(folder / file, "r")
    raise UserError(
        f"The tokens of {name} cannot be written to {folders[-1]}: {reason}. Set XDG_CACHE_HOME to a folder where they "
        "can be."
    )


def encode(name: str, tokenizer: Tokenizer, kind: np.dtype, out: BinaryIO, skip_bad: bool = False) -> None:
    """Write the ids of every document of `name` as an array in NumPy's format, and print how fast it went."""
    files = [] if name.startswith(PREFIX) else text_files(name) or [Path(name)]
    start, n_bytes, n_tokens = time.perf_counter(), 0, 0
    bos = np.array([tokenizer.control["<|endoftext|>"]], kind).tobytes()
    total = sum(file.stat().st_size for file in files) or None
    header = dict(descr=dtype_to_descr(kind), fortran_order=False)
    write_array_header_1_0(out, header | {"shape": (0,)})  # with room for the number of ids
    with tqdm(total=total, desc=f"encoding {name}", unit="B", unit_scale=True, leave=False) as bar:
        for document in documents(name, bar.update, [] if skip_bad else None):
            out.write(bos)
            n_tokens += 1
            for text in document:
                ids = tokenizer.encode(text)
                out.write(np.array(ids, kind).tobytes())
                n_bytes, n_tokens = n_bytes + len(text.encode()), n_tokens + len(ids)
    seconds = time.perf_counter() - start
    if not n_bytes:
        raise UserError(f"{name} holds no text.")
    out.seek(0)
    write_array_header_1_0(out, header | {"shape": (n_tokens,)})
    print(f"encoded {name}: {n_bytes:,} bytes, {n_tokens:,} tokens, {n_bytes / seconds / 1e6:.1f} MB/s")


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """SHA-256 of what decides a text's ids: the vocabulary's files and the ids of the control tokens."""
    digest = hashlib.sha256(f"{tokenizer.name} {sorted(tokenizer.control.items())}".encode())
    for name, content in sorted(tokenizer.files().items()):
        digest.update(f" {name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def byte_lengths(tokenizer: Tokenizer) -> np.ndarray:
    """The bytes of text that each id stands for; a control token stands for none."""
    control = set(tokenizer.control.values())
    return np.array([0 if i in control else len(tokenizer.token_bytes(i)) for i in range(len(tokenizer))])


def count_bytes(ids: np.ndarray, lengths: np.ndarray) -> int:
    """The bytes of text that all of these ids stand for, of millions at a time."""
    return sum(int(lengths[ids[at : at + 2**20]].sum()) for at in range(0, len(ids), 2**20))
