"""`python -m agents.telephony`: loads the engine once, then answers the telephone until it is told to end.

Set PUBLIC_URL to the https address under which the provider reaches this server, and the provider's key:
TWILIO_AUTH_TOKEN, TELNYX_PUBLIC_KEY (and TELNYX_API_KEY) or PLIVO_AUTH_TOKEN (and PLIVO_AUTH_ID). Then give the
provider the webhook's address that this command prints.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from agents.command import add_options, begin_loading, listen, run, serving
from agents.telephony.settings import DRAIN_S, check_keys, check_public_url, read_providers
from csm_plugin.errors import SettingsError
from csm_plugin.interruption import INTERRUPTED, result_of, tell_of_interruption

if TYPE_CHECKING:
    import socket

MAX_CALLS = 8


def main() -> int:
    """Serve until the last call after SIGTERM or Ctrl-C has ended."""
    options = _options()
    public_url = check_public_url(options.public_url or os.environ.get("PUBLIC_URL"))
    check_keys(os.environ)
    if options.calls < 1:
        raise SettingsError(f"--calls is {options.calls}; it must be at least 1")
    with listen(options.host, options.port) as listener:
        return _serve(listener, options, public_url)


def _serve(listener: socket.socket, options: argparse.Namespace, public_url: str) -> int:
    loading = begin_loading(options)
    # While the engine loads in its thread, this one imports what answers calls.
    from agents.brain import describe_brain
    from agents.speech import describe, release
    from agents.telephony.app import create_app
    from agents.telephony.calls import Calls
    from agents.telephony.server import TelephoneServer

    providers = read_providers(os.environ)
    speech = result_of(loading)
    host, port = listener.getsockname()[:2]
    print(
        f"{describe(speech, options.voice)} At most {options.calls} calls.",
        f"Listening on http://{host}:{port}. Set as the number's webhook, by POST:",
        *(f"  {public_url}/{name}/voice" for name in providers),
        describe_brain("telephone"),
        sep="\n",
        flush=True,
    )
    calls = Calls(options.calls)
    app = create_app(speech, providers, public_url=public_url, calls=calls, voice=options.voice)
    server = TelephoneServer(app, calls, drain_s=options.drain_s)
    serving(server, listener, lambda: release(speech))
    if server.interrupted:
        tell_of_interruption()
        return INTERRUPTED
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agents.telephony", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7870, help="default: 7870; 0 takes a free one")
    parser.add_argument("--public-url", help="https address that the provider calls (default: $PUBLIC_URL)")
    add_options(parser)
    parser.add_argument("--calls", type=int, default=MAX_CALLS, help=f"most calls at a time (default: {MAX_CALLS})")
    parser.add_argument(
        "--drain-s", type=float, default=DRAIN_S, help=f"how long calls may go on at the end (default: {DRAIN_S:.0f})"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run("agents.telephony", main))
