"""Who may come in: keys and origins are looked at before a body is read or a socket accepted."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from csm_plugin.server.http import web_page
from csm_plugin.server.shared.errors import respond
from csm_plugin.server.shared.origins import pattern_of
from csm_plugin.server.shared.settings import ServerSettings, is_loopback

OPEN_PATHS = frozenset({"/live", "/ready", "/health"}) | web_page.PATHS
KEY_PROTOCOL = "csm.key."
"""A subprotocol of a WebSocket that carries the key, base64url, where a browser can set no header."""


class Gate:
    """ASGI middleware that lets requests with a key through, from pages that may use the server.

    A key comes in a header, `Authorization: Bearer …`, or for a socket as a subprotocol, and nowhere else.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._keys = [_digest(key.encode()) for key in settings.keys]
        self._allowed = re.compile(pattern_of(settings.allowed_origins) or r"(?!)")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401 or 403."""
        if scope["type"] not in ("http", "websocket") or (scope["type"] == "http" and scope["path"] in OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._may_come_from(headers):
            refusal = respond(403, "this page may not use the server: add its origin to CSM_ALLOWED_ORIGINS",
                              "invalid_request_error", "bad_origin")  # fmt: skip
        elif self._keys and not self._knows(key_in(headers, scope.get("subprotocols", ()))):
            refusal = respond(401, "no valid key: send `Authorization: Bearer <key>`",
                              "authentication_error", "invalid_api_key",
                              headers={"WWW-Authenticate": "Bearer"})  # fmt: skip
        else:
            await self._app(scope, receive, send)
            return
        await refusal(scope, receive, send)

    def _knows(self, key: bytes) -> bool:
        """Compare with every key, in the same time whether or not one fits."""
        given = _digest(key)
        found = False
        for known in self._keys:
            found |= hmac.compare_digest(given, known)
        return found

    def _may_come_from(self, headers: Headers) -> bool:
        """Whether a page may use the server: one of its own, or one that was allowed.

        Without keys, a name is not enough to be its own: anyone can let a name of theirs lead to this machine.
        """
        origin = headers.get("origin")
        if origin is None or self._allowed.fullmatch(origin):
            return True
        host = headers.get("host", "")
        try:
            own = urlsplit(origin).netloc == host != ""
            return own and (bool(self._keys) or is_loopback(urlsplit(f"//{host}").hostname or ""))
        except ValueError:
            return False


def key_in(headers: Headers, subprotocols: Sequence[str]) -> bytes:
    """Return the key that a request carries, empty if there is none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip().encode("latin-1")
    for protocol in subprotocols:
        if protocol.startswith(KEY_PROTOCOL):
            coded = protocol.removeprefix(KEY_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
            except (binascii.Error, ValueError):
                return b""
    return b""


def _digest(key: bytes) -> bytes:
    return blake2b(key).digest()
