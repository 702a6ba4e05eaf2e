"""Numbers that name a thing and count nothing, read digit by digit: cards, accounts, codes, orders."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import say_digits, say_groups

_NAMES = (
    "confirmation|account|acct|card|routing|order|tracking|reference|ref|booking|reservation|case|ticket|invoice|"
    "serial|policy|member|membership|customer|employee|license|licence|passport|social security|registration|"
    "claim|transaction|model|part|product|item|student|patient|badge|receipt|request|permit|meeting|gift card|"
    "loyalty|frequent flyer|IBAN|access|security|verification|activation|promo|coupon|gate|door|entry|unlock|"
    "area|country|dial|sort|SWIFT|bank|id|job"
)
_SECRETS = (
    "PIN|OTP|CVV|CVC|SSN|EIN|VIN|ISBN|passcode|pass code|password|ZIP|zip code|ZIP code|zip|postcode|postal code|"
    "area code|access code|security code|verification code|confirmation code|one-time code|sort code|promo code|"
    "country code|code is|code(?=:)|confirmation|routing number|P\\.? ?O\\.? Box|"
    "(?:card|account|visa|mastercard|amex) ending|ending in|ends in|ending with|ends with|"
    "last four(?: digits)?|last 4(?: digits)?"
)
_LINK = r"(?:\s(?:is|was|are|were|reads|here|now|below|should be|will be))?\s?[:=#-]?\s?#?\s?[\"“'*_]{0,3}"
_STRING = r"[0-9]{2,}(?:[ -][0-9]{2,6}){0,5}"
_CODE = r"(?=[A-Z0-9-]{0,11}[0-9])[A-Z0-9]{2,24}(?:-[A-Z0-9]{1,12}){0,4}"
_END = r"(?![\w]|[-,.][0-9])"
_NUMBERED = re.compile(
    rf"\b((?i:{_NAMES})(?i:'s)?,?\s(?i:number|no\.|num\.|num|nr\.?|ID|code|#)"
    rf"(?i:\s(?:for|of|on|to)\s[a-z '’-]{{2,30}}?(?=\s(?:is|was)\s))?{_LINK})"
    rf"({_STRING}|{_CODE}){_END}"
)
_SECRET = re.compile(rf"\b((?i:{_SECRETS})(?i:\scode|\snumber)?{_LINK})({_STRING}|{_CODE}){_END}")
_HASHED = re.compile(rf"\b((?i:{_NAMES}))(\s?#\s?|\s?:\s?#?)({_STRING}|{_CODE}){_END}")
_LONG_NAMED = re.compile(
    rf"\b((?i:{_NAMES}|code|number|flight))\s([0-9]{{5,}}(?:-[0-9]{{2,6}}){{0,4}}|"
    rf"[0-9]{{3,6}}-[0-9]{{3,6}}(?:-[0-9]{{2,6}})?){_END}(?!\s(?!is|was|has)[a-z]{{3,}}s\b)"
)
_FLIGHT = re.compile(
    r"\b([Ff]light\s[A-Z]{2}|[Ff]light\s(?:[A-Z][a-z]+\s)?(?=[0-9]{4}))\s?([0-9]{1,4})(?![\w]|[.,:][0-9])"
)
_HASH = re.compile(rf"(?<!\w)#\s?([0-9]{{5,}}(?:-[0-9]{{2,6}}){{0,3}}){_END}")
_CARD = re.compile(r"(?<![\w.-])([0-9]{4}([ -])[0-9]{4,6}\2[0-9]{4,5}(?:\2[0-9]{4})?)(?![\w-])")
_MASKED = re.compile(r"(?<!\w)(?:[xX*•]{2,16}[ -]?)+([0-9]{3,4})(?!\w)")
_SOCIAL = re.compile(r"(?<![\w.-])([0-9]{3}-[0-9]{2}-[0-9]{4})(?![\w-])")
_THREE_GROUPS = re.compile(r"(?<![\w.-])([0-9]{1,6}(?:-[0-9]{1,6}){2,5})(?![\w-])")
_NO_SPAN = re.compile(r"(?<![\w.,/-])([0-9]{3,9})-([0-9]{3,9})(?![\w,/-]|\.[0-9])")
_ADDRESS = re.compile(r"(?<![\w.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(:[0-9]{2,5})?(?![\w]|\.[0-9])")
_LONG = re.compile(r"(?<![\w.,$€£+-])([0-9]{10,})(?![\w]|[.,][0-9])")
_MIXED = re.compile(
    r"(?<![\w'-])(?=[A-Z]*[0-9]+[A-Z]+[0-9]|[0-9]*[A-Z]+[0-9]+[A-Z]|[A-Z]{2,}[0-9]{4}|"
    r"[A-Z][0-9]{5})([A-Z0-9]{5,12})(?![\w'-])"
    r"|(?<![\w'-])([A-Z]{1,4}-[0-9]{2,6}(?:-[0-9]{1,6}){1,3})(?![\w'-])"
)


def say_digit_strings(text: str) -> str:
    """Read out digit by digit what is no quantity. Linear in the length."""
    text = _ADDRESS.sub(_say_address, text)
    for pattern in (_SECRET, _NUMBERED):
        text = pattern.sub(lambda match: _before(match.group(1)) + spell(match.group(2)), text)
    text = _HASHED.sub(lambda match: f"{match.group(1)} number {spell(match.group(3))}", text)
    text = _LONG_NAMED.sub(lambda match: f"{match.group(1)} {spell(match.group(2))}", text)
    text = _FLIGHT.sub(lambda match: f"{match.group(1).rstrip()} {say_digits(match.group(2))}", text)
    text = _HASH.sub(lambda match: f"number {say_groups(match.group(1))}", text)
    for pattern in (_CARD, _MASKED, _SOCIAL, _THREE_GROUPS):
        text = pattern.sub(lambda match: say_groups(match.group(1)), text)
    text = _NO_SPAN.sub(_say_unless_span, text)
    text = _LONG.sub(_say_unless_round, text)
    return _MIXED.sub(lambda match: spell(match.group()), text)


def spell(code: str) -> str:
    """A code's digits as words and its letters one by one, with a comma where it has a hyphen or a space."""
    groups = code.replace("-", " ").split()
    return ", ".join(" ".join(say_digits(sign) if sign.isdigit() else sign for sign in group) for group in groups)


def _before(cue: str) -> str:
    bare = cue.rstrip(" #*_\"'“-=")
    words = bare + (" number" if "#" in cue[len(bare) :] and not bare.endswith(("number", "is", ":")) else "")
    return f"{words.replace('#', 'number')} "


def _say_address(match: re.Match[str]) -> str:
    parts = match.group(1).split(".")
    if any(int(part) > 255 for part in parts):
        return match.group()
    port = f", port {say_digits(match.group(2))}" if match.group(2) else ""
    return " dot ".join(map(say_digits, parts)) + port


def _say_unless_span(match: re.Match[str]) -> str:
    first, last = match.groups()
    grows = len(first) <= len(last) and int(first) < int(last) and not first.startswith("0")
    is_short_span = len(last) < len(first) < 5 and first.startswith(("1", "2"))
    return match.group() if grows or is_short_span or (len(first) == len(last) == 3) else say_groups(match.group())


def _say_unless_round(match: re.Match[str]) -> str:
    digits = match.group(1)
    return match.group() if digits.endswith("000000") and len(digits) <= 15 else say_digits(digits)
