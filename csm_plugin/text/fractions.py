"""Fractions and mixed numbers, marks out of ten, and other numbers with a slash between."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import say_integer, say_number, say_ordinal, say_value

_NAMED = {"1/2": "one half", "1/4": "a quarter", "3/4": "three quarters"}
_MIXED = {"1/2": "a half", "1/4": "a quarter", "3/4": "three quarters"}
_PAIRS = frozenset({"24/7", "9/11", "7/11", "50/50", "20/20", "60/40", "70/30", "80/20", "90/10", "50/30"})
_MOST = 1_000

FRACTION = r"(?:[0-9]{1,6}\s)?[0-9]{1,3}/[0-9]{1,4}"
_SLASH = re.compile(r"(?<![\w./])(?:([0-9]{1,6})\s)?(-?)([0-9]{1,3})/([0-9]{1,4})(?![\w/]|\.[0-9])(?:(?=\s?([a-z]+)))?")
_RATING = re.compile(r"(?<![\w./])([0-9]{1,2}\.[0-9]{1,2})/(5|10|100)(?![\w/]|\.[0-9])")
_MARK = re.compile(
    r"(\b(?:[Ss]cored?|[Ss]cores?|[Gg]ot|[Rr]ated?|[Gg]raded?|[Mm]arks?)(?:\s(?:is|was|of|at|a|an))?:?\s)([0-9]{1,3})/([0-9]{1,3})"
    r"(?![\w/]|\.[0-9]|\s(?:of|cup|inch|mile))"
)
_JUDGED = frozenset("stars star points point marks score rating".split())


def say_fractions(text: str) -> str:
    """Put fractions and other pairs with a slash into words. Linear in the length."""
    if "/" not in text:
        return text
    text = _RATING.sub(lambda match: f"{say_number(match.group(1))} out of {say_integer(match.group(2))}", text)
    text = _MARK.sub(lambda match: f"{match.group(1)}{match.group(2)} out of {match.group(3)}", text)
    return _SLASH.sub(_say_slash, text)


def say_fraction(whole: str | None, top: str, bottom: str) -> str | None:
    """A fraction, or a mixed number, in words; None if the two numbers are no fraction.

    Args:
        whole: the digits before the fraction, if any.
        top: digits of the numerator.
        bottom: digits of the denominator.
    """
    pair, numerator, denominator = f"{top}/{bottom}", int(top), int(bottom)
    if pair in _PAIRS or not 2 <= denominator <= _MOST or numerator == 0 or top.startswith("0"):
        return None
    if whole is not None:
        return f"{say_integer(whole)} and {_MIXED.get(pair) or _parts(numerator, denominator)}"
    if numerator >= denominator and denominator not in (2, 3, 4, 8, 16):
        return None
    return None if numerator == denominator else _NAMED.get(pair) or _parts(numerator, denominator)


def _parts(numerator: int, denominator: int) -> str:
    if denominator == 2:
        name = "half" if numerator == 1 else "halves"
    elif denominator == 4:
        name = "quarter" if numerator == 1 else "quarters"
    else:
        name = say_ordinal(str(denominator)) + ("" if numerator == 1 else "s")
    return f"{say_value(numerator)} {name}"


def _say_slash(match: re.Match[str]) -> str:
    whole, sign, top, bottom, after = match.groups()
    minus = "minus " if sign else ""
    rated = bottom in ("10", "100") and after not in ("inch", "inches", "mile", "miles", "of", "cup", "cups", "mm")
    if (
        whole is None
        and int(top) <= int(bottom)
        and bottom != "1"
        and ((rated and bottom[0] == "1") or after in _JUDGED)
    ):
        return f"{minus}{say_integer(top)} out of {say_integer(bottom)}"
    words = say_fraction(whole, top, bottom)
    if words is None and whole is None:
        if int(top) > int(bottom) >= 30 and f"{top}/{bottom}" not in _PAIRS:
            return f"{minus}{say_integer(top)} over {say_integer(bottom)}"
        return f"{minus}{say_integer(top)} {say_integer(bottom)}"
    return match.group() if words is None else minus + words
