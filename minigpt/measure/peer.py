"""transformers' GPT-2, or TRL's trainer of it, in a separate process, to be timed beside ours."""

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
    """The other side of a bench, by the package `package`: it has a copy of `model`'s weights, and works once per call.

    `peak` is its process's peak memory, in bytes.
    """

    def __init__(self, package: str, model: GPT, mode: str, **job: object) -> None:
        self._package = package
        self._folder = tempfile.TemporaryDirectory()
        model.save_pretrained(self._folder.name)
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=unset_environment(),
        )
        self.peak = 0
        threads = torch.get_num_threads() if model.device.type == "cpu" else 0
        self._send({"folder": self._folder.name, "device": model.device.type, "mode": mode, "threads": threads, **job})

    def __call__(self, **arguments: object) -> tuple[float, object]:
        """Work once; return the seconds it took, and the result."""
        reply = self._send(arguments)
        self.peak = reply["peak"]
        return reply["seconds"], reply["result"]

    def _send(self, message: dict) -> dict:
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._stderr.seek(0)
            errors = self._stderr.read()
            name = self._package
            if f"No module named '{name}'" in errors:
                raise UserError(f"--peer {name} needs the package {name}: pip install {name}.")
            raise UserError(f"The process of {name} ended early: {(errors.strip() or 'no message').splitlines()[-1]}.")
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
        self._folder.cleanup()
