"""A server on loopback that speaks as much of Hugging Face's protocol as downloading a file needs."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "1" * 40


class Hub(ThreadingHTTPServer):
    """Serves `files`; `cut` connections for the tensors end halfway."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.asked = files, 0, []

    @contextlib.contextmanager
    def serving(self) -> Iterator["Hub"]:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()

    def environment(self, folder: Path) -> dict[str, str]:
        """What a command needs to take this server for the hub, and to keep what it keeps in `folder`."""
        return os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(folder / "hub"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "NO_PROXY": "127.0.0.1",
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if name not in self.server.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = self.server.files[name]
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("Content-Length", str(len(whole) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        if not body:
            return
        if name == "model.safetensors" and self.server.cut:
            self.server.cut -= 1
            self.wfile.write(whole[first : len(whole) // 2])
            self.close_connection = True
            return
        self.wfile.write(whole[first:])

    def log_message(self, *args: object) -> None:
        pass
