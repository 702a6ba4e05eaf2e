"""`python -m agents.telephony`: loads the engine once, then answers the telephone until it is told to end.

Set PUBLIC_URL to the https address under which the provider reaches this server, and the provider's key:
TWILIO_AUTH_TOKEN, TELNYX_PUBLIC_KEY (and TELNYX_API_KEY) or PLIVO_AUTH_TOKEN (and PLIVO_AUTH_ID). Then give the
provider the webhook's address that this command prints.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys

from loguru import logger

from agents.engine import chosen_model
from agents.telephony.app import create_app
from agents.telephony.calls import Calls
from agents.telephony.server import DRAIN_S, TelephoneServer
from agents.telephony.settings import check_public_url, read_providers
from csm_plugin.engine import Engine
from csm_plugin.errors import CSMError, SettingsError
from csm_plugin.pipecat.settings import check_voice

MAX_CALLS = 8


def main() -> int:
    """Serve until the last call after SIGTERM or Ctrl-C has ended."""
    options = _options()
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("LOG_LEVEL", "INFO"), diagnose=False)
    try:
        public_url = check_public_url(options.public_url or os.environ.get("PUBLIC_URL"))
        providers = read_providers(os.environ)
        if options.calls < 1:
            raise SettingsError(f"--calls is {options.calls}; it must be at least 1")
        model = chosen_model(options.model)
        print(f"Loading {model} …", flush=True)
        engine = Engine.load(model)
    except CSMError as error:
        return _fail(error)
    try:
        check_voice(options.voice, engine.voices)
        listener = socket.create_server((options.host, options.port))
        host, port = listener.getsockname()[:2]
        print(
            f"Speaking with {engine.model_name} on {engine.device}, voice: {options.voice or 'the model’s own'}; "
            f"at most {options.calls} calls.\nListening on http://{host}:{port}. Set as the number's webhook, by POST:",
            *(f"  {public_url}/{name}/voice" for name in providers),
            sep="\n",
            flush=True,
        )
        calls = Calls(options.calls)
        app = create_app(engine, providers, public_url=public_url, calls=calls, voice=options.voice)
        asyncio.run(TelephoneServer(app, calls, drain_s=options.drain_s).serve([listener]))
    except (CSMError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:  # before the server had begun
        logger.info("ended")
    finally:
        engine.close()
    return 0


def _fail(error: Exception) -> int:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agents.telephony", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7870, help="default: 7870; 0 takes a free one")
    parser.add_argument("--public-url", help="https address that the provider calls (default: $PUBLIC_URL)")
    parser.add_argument("--model", help="bundled name, folder, or hub id (default: $CSM_MODEL, else csm-tiny)")
    parser.add_argument("--voice", help="name of a voice of the model (default: the model's own)")
    parser.add_argument("--calls", type=int, default=MAX_CALLS, help=f"most calls at a time (default: {MAX_CALLS})")
    parser.add_argument(
        "--drain-s", type=float, default=DRAIN_S, help=f"how long calls may go on at the end (default: {DRAIN_S:.0f})"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
