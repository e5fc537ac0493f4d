"""transformers' GPT-2, to be timed beside ours in the same run, in a process of its own. Read with lesson 10."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.processor import unset_environment

WORKER = Path(__file__).with_name("peer_worker.py")


class Peer:
    """The other side of a bench: it starts from a copy of `model`'s weights and works when it is told to.

    `peak` is the most memory that its process has held, in bytes.
    """

    def __init__(self, model: GPT, mode: str, **job: object) -> None:
        self._folder = tempfile.TemporaryDirectory()
        model.save_pretrained(self._folder.name)
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=unset_environment(),
        )
        self.peak = 0
        threads = torch.get_num_threads() if model.device.type == "cpu" else 0
        self._ask({"folder": self._folder.name, "device": model.device.type, "mode": mode, "threads": threads, **job})

    def __call__(self, **arguments: object) -> tuple[float, object]:
        """Work once: the seconds that it took, and what it gave."""
        answer = self._ask(arguments)
        self.peak = answer["peak"]
        return answer["seconds"], answer["given"]

    def _ask(self, message: dict) -> dict:
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._said.seek(0)
            said = self._said.read()
            if "No module named 'transformers'" in said:
                raise UserError("--peer transformers needs the package transformers: pip install transformers.")
            raise UserError(f"transformers' side ended early: {said.strip().splitlines()[-1:] or 'without a word'}.")
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()
        self._folder.cleanup()
