"""Talk with CSM in a browser: `python -m agents.webrtc`, then open the page that it names.

The page needs nothing but this server. An LLM is chosen by OPENAI_BASE_URL and OPENAI_MODEL, and its key by
OPENAI_API_KEY; without one a few built-in rules answer.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from agents.command import add_options, begin_loading, listen, run, serving
from csm_plugin.interruption import result_of

if TYPE_CHECKING:
    import socket


def main() -> int:
    """Load the engine once, then serve until interrupted."""
    options = _options()
    with listen(options.host, options.port) as listener:
        _serve(listener, options)
    return 0


def _serve(listener: socket.socket, options: argparse.Namespace) -> None:
    loading = begin_loading(options)
    # While the engine loads in its thread, this one imports what answers callers.
    import uvicorn

    from agents.brain import describe_brain
    from agents.speech import describe, release
    from agents.webrtc.app import create_app

    speech = result_of(loading)
    host, port = listener.getsockname()[:2]
    print(
        f"{describe(speech, options.voice)}\n"
        f"Open http://{host}:{port}/, press Connect, allow the microphone, and speak or type.\n"
        "You may interrupt at any time. Ctrl-C ends it.\n"
        f"{describe_brain()}",
        flush=True,
    )
    app = create_app(speech, voice=options.voice)
    serving(uvicorn.Server(uvicorn.Config(app, log_level="warning")), listener, lambda: release(speech))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agents.webrtc", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860; 0 takes a free one")
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run("agents.webrtc", main))
