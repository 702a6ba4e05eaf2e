"""Whether a request comes from the provider that it names: pure checks, each in constant time.

Every check is over the public URL, which is configured: the Host header and the scheme are whatever a proxy made them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300.0
"""How old or how far ahead a signed time may be."""

Form = Mapping[str, Sequence[str]]
_STANDARD_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class SignatureError(Exception):
    """A request is not signed by the provider. The message never holds a key, a signature or what was signed."""


def twilio_signature(auth_token: str, url: str, form: Form) -> str:
    """Sign as Twilio does: HMAC-SHA1 over the URL and the sorted form, in base64.

    Args:
        url: as Twilio calls it: scheme, host, path, query.
        form: the parameters of a POST; empty for a GET and for a socket's upgrade.
    """
    text = url + "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()


def check_twilio(auth_token: str, url: str, form: Form, signature: str | None) -> None:
    """Check `X-Twilio-Signature`. Twilio may write a port into the URL or leave it out: both count.

    Raises:
        SignatureError: it is missing, or it is of another URL, form or account.
    """
    expected = [twilio_signature(auth_token, spelling, form) for spelling in _spellings(url)]
    _check_any(expected, [signature] if signature else [], "X-Twilio-Signature")


def plivo_signature(auth_token: str, url: str, form: Form, nonce: str) -> str:
    """Sign a POST as Plivo does (V3): HMAC-SHA256 over the URL, the sorted form and the nonce, in base64."""
    parts = urlsplit(url)
    query = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    signed = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if query or form:
        signed += f"?{query}"
    if query and form:
        signed += "."
    signed += "".join(name + value for name in sorted(form) for value in sorted(form[name]))
    return base64.b64encode(hmac.digest(auth_token.encode(), f"{signed}.{nonce}".encode(), "sha256")).decode()


def check_plivo(auth_token: str, url: str, form: Form, nonce: str | None, signatures: str | None) -> None:
    """Check `X-Plivo-Signature-V3`, which may hold several signatures, separated by commas.

    Raises:
        SignatureError: it or its nonce is missing, or it is of another URL, form or account.
    """
    if not nonce:
        raise SignatureError("X-Plivo-Signature-V3-Nonce is missing")
    given = [signature.strip() for signature in (signatures or "").split(",")[:4] if signature.strip()]
    _check_any([plivo_signature(auth_token, url, form, nonce)], given, "X-Plivo-Signature-V3")


def read_telnyx_key(public_key: str) -> Ed25519PublicKey:
    """Read the key that Telnyx shows in its portal: 32 bytes in base64.

    Raises:
        ValueError: it is no such key.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (ValueError, binascii.Error) as error:
        raise ValueError("it must be 32 bytes in base64, as Telnyx's portal shows it") from error


def check_telnyx(key: Ed25519PublicKey, body: bytes, timestamp: str | None, signature: str | None, now: float) -> None:
    """Check `telnyx-signature-ed25519` over the time and the body as it was sent.

    Args:
        now: seconds since 1970.

    Raises:
        SignatureError: it is missing, of another body or account, or of another time than now.
    """
    if not timestamp or not signature:
        raise SignatureError("telnyx-signature-ed25519 or telnyx-timestamp is missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError("telnyx-timestamp is no time")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise SignatureError(f"telnyx-timestamp is more than {TOLERANCE_S:.0f} s away from now")
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + b"|" + body)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise SignatureError("telnyx-signature-ed25519 does not fit") from error


def _check_any(expected: Sequence[str], given: Sequence[str], header: str) -> None:
    if not given:
        raise SignatureError(f"{header} is missing")
    pairs = [hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given]
    if not any(pairs):
        raise SignatureError(f"{header} does not fit: is PUBLIC_URL the address that the provider calls?")


def _spellings(url: str) -> list[str]:
    """A URL as it is, and with its port left out or the standard one put in."""
    parts = urlsplit(url)
    if parts.port is None:
        return [url, parts._replace(netloc=f"{parts.netloc}:{_STANDARD_PORTS.get(parts.scheme)}").geturl()]
    return [url, parts._replace(netloc=parts.netloc.rpartition(":")[0]).geturl()]
