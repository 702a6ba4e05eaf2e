"""A stand-in for `csm serve`: `/ready` answers once it is loaded; `/weights` tells how many times that was."""

from __future__ import annotations

import http.server
import os
import sys
import time
from pathlib import Path


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/die":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["CSM_API_KEYS"].encode() if self.path == "/key" else b"ready")

    def log_message(self, *_: object) -> None:
        return


def main(port: str, loads: str, load_s: str = "0.2") -> None:
    if loads == "never":
        sys.exit(4)
    with Path(loads).open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(float(load_s))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Answers).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
