"""Who asks: each provider's signature, by the providers' own examples, and everything that is not it."""

from __future__ import annotations

import base64

import pytest

from agents.telephony.signatures import (
    SignatureError,
    check_plivo,
    check_telnyx,
    check_twilio,
    plivo_signature,
    read_telnyx_key,
    twilio_signature,
)
from tests.agents.other_phones import TELNYX_KEY

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TOKEN = "12345"
FORM = {
    "CallSid": ["CA1234567890ABCDE"],
    "Caller": ["+12349013030"],
    "Digits": ["1234"],
    "From": ["+12349013030"],
    "To": ["+18005551212"],
}
TWILIO = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="  # from Twilio's documentation

PLIVO_TOKEN = "ODcwMTIzNDU2Nzg5"
NONCE = "05429567804466091622"
PLIVO_URL = "https://voice.example.test/plivo/voice"
PLIVO_FORM = {"CallUUID": ["12345678-1234"], "Empty": [""], "From": ["15005550006"], "To": ["15005550001"]}
NOW = 1_760_000_000
BODY = b"CallSid=v3%3Aabc&From=%2B15005550006"


def test_twilios_documented_example_is_signed_as_documented() -> None:
    assert twilio_signature(TOKEN, URL, FORM) == TWILIO
    check_twilio(TOKEN, URL, FORM, TWILIO)


@pytest.mark.parametrize("signed", ["https://a.test/x", "https://a.test:443/x"])
@pytest.mark.parametrize("called", ["https://a.test/x", "https://a.test:443/x"])
def test_twilio_may_write_the_standard_port_or_leave_it_out(signed: str, called: str) -> None:
    check_twilio(TOKEN, called, {}, twilio_signature(TOKEN, signed, {}))


@pytest.mark.parametrize("signature", [None, "", "nonsense", TWILIO[:-2] + "==", TWILIO.swapcase(), "ü" * 28])
def test_a_missing_or_altered_twilio_signature_is_refused(signature: str | None) -> None:
    with pytest.raises(SignatureError, match="X-Twilio-Signature"):
        check_twilio(TOKEN, URL, FORM, signature)


@pytest.mark.parametrize("url", [URL.replace("https", "http"), URL + "3", URL.replace("mycompany", "yourcompany")])
def test_a_twilio_signature_of_another_address_is_refused(url: str) -> None:
    with pytest.raises(SignatureError, match="PUBLIC_URL"):
        check_twilio(TOKEN, url, FORM, TWILIO)


def test_a_twilio_signature_of_another_form_or_account_is_refused() -> None:
    with pytest.raises(SignatureError):
        check_twilio(TOKEN, URL, FORM | {"Digits": ["1235"]}, TWILIO)
    with pytest.raises(SignatureError):
        check_twilio("12346", URL, FORM, TWILIO)


# These four come from Plivo's own library, plivo 4.59.
@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (PLIVO_URL, {}, "MnoF5+cdTMCmGqMmK67Ezn+DZUTC5/NLqCmi49Onz5E="),
        (PLIVO_URL, PLIVO_FORM, "hbKWfuAd3wvD1+yeVibtzg6ADsp8DOEhZeRrRjWhC6E="),
        (PLIVO_URL + "?b=2&a=1&a=0", {}, "soCq8z5Xbt6SVP0q3JVnZw/IUofE3cZVP59ZE7rb5mc="),
        (PLIVO_URL + "?b=2&a=1&a=0", PLIVO_FORM, "OwAs8rrCqTXuAsSyeAVVctw3stnk49OLyGeFuBggGbo="),
    ],
)
def test_plivos_library_signs_the_same(url: str, form: dict[str, list[str]], signature: str) -> None:
    assert plivo_signature(PLIVO_TOKEN, url, form, NONCE) == signature
    check_plivo(PLIVO_TOKEN, url, form, NONCE, signature)
    check_plivo(PLIVO_TOKEN, url, form, NONCE, f"bm9uc2Vuc2U=, {signature}")


@pytest.mark.parametrize(
    ("nonce", "signatures"),
    [
        (None, "MnoF5+cdTMCmGqMmK67Ezn+DZUTC5/NLqCmi49Onz5E="),
        ("", "MnoF5+cdTMCmGqMmK67Ezn+DZUTC5/NLqCmi49Onz5E="),
        ("1", "MnoF5+cdTMCmGqMmK67Ezn+DZUTC5/NLqCmi49Onz5E="),
        (NONCE, None),
        (NONCE, ""),
        (NONCE, ",,,"),
        (NONCE, "x,y"),
    ],
)
def test_a_missing_or_altered_plivo_signature_or_nonce_is_refused(nonce: str | None, signatures: str | None) -> None:
    with pytest.raises(SignatureError, match="X-Plivo-Signature-V3"):
        check_plivo(PLIVO_TOKEN, PLIVO_URL, {}, nonce, signatures)


def telnyx_signature(timestamp: int, body: bytes) -> str:
    return base64.b64encode(TELNYX_KEY.sign(str(timestamp).encode() + b"|" + body)).decode()


@pytest.mark.parametrize("age_s", [-299, 0, 299])
def test_a_fresh_telnyx_signature_is_good(age_s: int) -> None:
    then = NOW - age_s
    check_telnyx(TELNYX_KEY.public_key(), BODY, str(then), telnyx_signature(then, BODY), NOW)


@pytest.mark.parametrize("age_s", [-301, 301, NOW])
def test_a_telnyx_signature_of_another_time_is_refused(age_s: int) -> None:
    then = NOW - age_s
    with pytest.raises(SignatureError, match="300 s"):
        check_telnyx(TELNYX_KEY.public_key(), BODY, str(then), telnyx_signature(then, BODY), NOW)


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        (None, telnyx_signature(NOW, BODY)),
        (str(NOW), None),
        ("soon", telnyx_signature(NOW, BODY)),
        ("١٧٦", telnyx_signature(NOW, BODY)),
        (str(NOW) * 9, telnyx_signature(NOW, BODY)),
        (str(NOW + 1), telnyx_signature(NOW, BODY)),
        (str(NOW), telnyx_signature(NOW, BODY + b"0")),
        (str(NOW), "not base64!"),
        (str(NOW), "c2hvcnQ="),
    ],
)
def test_a_missing_or_altered_telnyx_signature_is_refused(timestamp: str | None, signature: str | None) -> None:
    with pytest.raises(SignatureError, match="telnyx"):
        check_telnyx(TELNYX_KEY.public_key(), BODY, timestamp, signature, NOW)


@pytest.mark.parametrize("key", ["", "short", "c2hvcnQ=", "ü", "A" * 44])
def test_what_is_no_telnyx_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        read_telnyx_key(key)


def test_a_telnyx_key_is_read_as_the_portal_shows_it() -> None:
    shown = base64.b64encode(TELNYX_KEY.public_key().public_bytes_raw()).decode()
    assert read_telnyx_key(shown) == TELNYX_KEY.public_key()
