"""What the environment says about the telephone: where the world reaches this server, and the providers' keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from csm_plugin.errors import SettingsError

if TYPE_CHECKING:
    from agents.telephony.providers import Provider

DRAIN_S = 15.0
"""How long live calls may go on at the end."""

KEYS = ("TWILIO_AUTH_TOKEN", "TELNYX_PUBLIC_KEY", "PLIVO_AUTH_TOKEN")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def read_providers(environment: Mapping[str, str]) -> dict[str, Provider]:
    """The providers whose keys are set, by name.

    `TWILIO_AUTH_TOKEN` (and `TWILIO_API_URL`); `TELNYX_PUBLIC_KEY` (and `TELNYX_API_KEY`, to hang up);
    `PLIVO_AUTH_TOKEN` (and `PLIVO_AUTH_ID`, to hang up).

    Raises:
        SettingsError: no provider's key is set, or one cannot be used.
    """
    from agents.telephony.providers import Plivo, Telnyx, Twilio
    from agents.telephony.signatures import read_telnyx_key

    check_keys(environment)
    given = {name: value for name, value in environment.items() if value}
    found: list[Provider] = []
    if token := given.get("TWILIO_AUTH_TOKEN"):
        found.append(Twilio(token, given.get("TWILIO_API_URL")))
    if key := given.get("TELNYX_PUBLIC_KEY"):
        found.append(Telnyx(read_telnyx_key(key), given.get("TELNYX_API_KEY")))
    if token := given.get("PLIVO_AUTH_TOKEN"):
        found.append(Plivo(token, given.get("PLIVO_AUTH_ID")))
    return {provider.name: provider for provider in found}


def check_keys(environment: Mapping[str, str]) -> None:
    """Check that a provider's key is set and can be used, before Pipecat is imported.

    Raises:
        SettingsError: none is, or it cannot be.
    """
    if not any(environment.get(name) for name in KEYS):
        raise SettingsError(
            f"no telephone provider is set up: set {', '.join(KEYS[:-1])} or {KEYS[-1]}, "
            "with which the provider signs its requests"
        )
    if key := environment.get("TELNYX_PUBLIC_KEY"):
        from agents.telephony.signatures import read_telnyx_key

        try:
            read_telnyx_key(key)
        except ValueError as error:
            raise SettingsError(f"TELNYX_PUBLIC_KEY cannot be used: {error}") from error


def check_public_url(url: str | None) -> str:
    """The address under which providers reach this server, without a slash at its end.

    Raises:
        SettingsError: it is missing, or no https address; http is for this machine only.
    """
    if not url:
        raise SettingsError("PUBLIC_URL is not set; it must be the https address that the provider calls")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"PUBLIC_URL is {url!r}, which is no address: {error}") from error
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    if not host or not secure or parts.query or parts.fragment or parts.username:
        raise SettingsError(
            f"PUBLIC_URL is {url!r}; it must be an address such as https://voice.example.com, without a query"
        )
    return url.rstrip("/")
