"""A stand-in of the model hub on loopback: the part of its HTTP API that fetching uses, with faults to order.

Source: what huggingface_hub sends and reads. The listing comes from `/api/models/ID/revision/REV?blobs=true`, a file
from `/ID/resolve/REV/NAME`; large ones are sent on to another host (here: another port), which knows no tokens.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".pt", ".bin", ".gguf", ".wav", "tokenizer.json")


@dataclass
class Repository:
    """A repository: its files' contents, and what stands in its listing if that is not their real size."""

    files: dict[str, bytes]
    commit: str = "c" * 40
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    listed_sizes: dict[str, int] = field(default_factory=dict)

    def digest(self, name: str) -> str:
        content = self.files[name]
        if name.endswith(LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def listing(self, hub_id: str) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            size = self.listed_sizes.get(name, len(content))
            entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": "b" * 40}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": self.digest(name), "size": size, "pointerSize": 135}
            else:
                entry["blobId"] = self.digest(name)
            siblings.append(entry)
        gated = "auto" if self.gated else False
        return {"id": hub_id, "modelId": hub_id, "sha": self.commit, "gated": gated, "siblings": siblings}


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    host: str
    method: str
    path: str
    range: str | None
    token: str | None


class Hub:
    """Repositories, who may read the gated ones, what goes wrong, and what was asked.

    Attributes:
        breaks: name of a file → at which byte each of the next connections for it breaks.
        ignores_ranges: whether the large files' host sends everything whatever part is asked for.
        damages: names of files that arrive with other bytes than announced.
        down: whether every request is answered with status 503.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens = {"hf_accepted"}
        self.breaks: dict[str, list[int]] = {}
        self.ignores_ranges = False
        self.damages: set[str] = set()
        self.down = False
        self.asked: list[Asked] = []
        self.url = ""
        self.files_url = ""

    def fetched(self) -> list[str]:
        """The names of the files whose contents were asked for, each once, in order."""
        paths = [one.path for one in self.asked if one.method == "GET" and "/resolve/" in one.path]
        return list(dict.fromkeys(path.split("/resolve/")[1].split("/", 1)[1] for path in paths))

    def ranges(self, name: str) -> list[str | None]:
        """The parts of a large file that were asked of the host that has it."""
        return [one.range for one in self.asked if one.host == "files" and one.path.endswith(f"/{name}")]


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a stand-in, and another host for its large files, until the block ends."""
    hub = Hub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, host)) for host in ("hub", "files")]
    hub.url, hub.files_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(hub: Hub, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *told: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            """Note what is asked, and answer it."""
            path = unquote(urlsplit(self.path).path)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            if path.startswith("/api/") and not path.startswith("/api/models/"):
                return self._refuse(404, "")  # what huggingface_hub asks of its own accord
            hub.asked.append(Asked(host, self.command, path, self.headers.get("Range"), token))
            if hub.down:
                self._refuse(503, "")
            elif host == "files":
                _, owner, name, file = path.split("/", 3)
                self._send(hub.repositories[f"{owner}/{name}"].files[file], file)
            elif path.startswith("/api/models/"):
                self._list(path.removeprefix("/api/models/"), token)
            else:
                self._resolve(path, token)
            return None

        def _list(self, path: str, token: str | None) -> None:
            hub_id, _, revision = path.partition("/revision/")
            if token is not None and token not in hub.tokens:
                return self._refuse(401, "", "Invalid credentials in Authorization header")
            repository = self._find(hub_id, revision or "main")
            if repository is None:
                return None
            listing = repository.listing(hub_id)
            if "blobs" not in parse_qs(urlsplit(self.path).query):
                listing["siblings"] = [{"rfilename": one["rfilename"]} for one in listing["siblings"]]
            body = json.dumps(listing).encode()
            self._begin(200, len(body), {"Content-Type": "application/json"})
            return self._write(body)

        def _resolve(self, path: str, token: str | None) -> None:
            hub_id, _, rest = path.strip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            repository = self._find(hub_id, revision)
            if repository is None:
                return None
            if repository.gated and token not in hub.tokens:
                return self._refuse(401 if token is None else 403, "GatedRepo")
            if name not in repository.files:
                return self._refuse(404, "EntryNotFound")
            headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{repository.digest(name)}"'}
            if not name.endswith(LARGE):
                return self._send(repository.files[name], name, headers)
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(len(repository.files[name]))}
            return self._begin(302, 0, headers | {"Location": f"{hub.files_url}/{hub_id}/{name}"})

        def _find(self, hub_id: str, revision: str) -> Repository | None:
            repository = hub.repositories.get(hub_id)
            if repository is None:
                self._refuse(401, "RepoNotFound")
            elif revision not in (*repository.revisions, repository.commit):
                self._refuse(404, "RevisionNotFound")
                return None
            return repository

        def _send(self, content: bytes, name: str, headers: dict[str, str] | None = None) -> None:
            if name in hub.damages:
                content = bytes(255 - byte for byte in content)
            asked, start, whole = self.headers.get("Range"), 0, len(content)
            if asked and not hub.ignores_ranges:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, whole = int(first), len(content)
                content = content[: int(last) + 1] if last else content
                part = {"Content-Range": f"bytes {start}-{len(content) - 1}/{whole}"}
                self._begin(206, len(content) - start, (headers or {}) | part)
            else:
                self._begin(200, len(content), headers or {})
            breaks = hub.breaks.get(name, [])
            end = breaks.pop(0) if breaks and self.command == "GET" else len(content)
            self._write(content[start : max(end, start)])
            self.close_connection = end < len(content)

        def _begin(self, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(length)}).items():
                self.send_header(name, value)
            self.end_headers()

        def _write(self, body: bytes) -> None:
            if self.command == "GET":
                self.wfile.write(body)

        def _refuse(self, status: int, code: str, message: str = "") -> None:
            told = {"X-Error-Code": code} if code else {}
            self._begin(status, 0, told | ({"X-Error-Message": message} if message else {}))

    return Handler
