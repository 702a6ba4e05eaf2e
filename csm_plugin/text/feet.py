"""Feet and inches, which are also written with quotes, and sizes of two lengths."""

from __future__ import annotations

import re

from csm_plugin.text.fractions import FRACTION
from csm_plugin.text.numerals import NUMBER, say_integer
from csm_plugin.text.units import say_quantity

_FEET = re.compile(r"(?<![\w.'])([0-9]{1,2})'\s?([0-9]{1,2}(?:\.[0-9]|\s1/2)?)(?:\"|'')?(?![\w'])")
_FEET_ONLY = re.compile(r"(?<![\w.'])([0-9]{1,3})'(?=\s(?:tall|long|wide|high|deep|by)\b|$)|(?<=by )([0-9]{1,3})'")
_INCHES = re.compile(r"(?<![\w.\"/])((?:[0-9]{1,3}\s)?[0-9]{1,2}/[0-9]{1,2}|[0-9]{1,3}(?:\.[0-9]{1,2})?)\"")
_INCH_WORD = re.compile(
    rf"(?<![\w.])({FRACTION}|{NUMBER})\s?in(?:(?=\s?[x)])|\.?(?=\s(?:tall|long|wide|high|deep|thick|by)\b))"
)
_BY = re.compile(
    r"([0-9](?:'|\"|\s?(?:ft|in|cm|mm|m|km|yd|feet|inches|meters|px)))\s?x\s?(?=[0-9]+(?:\.[0-9]+)?\s?(?:'|\"|"
    r"(?:ft|in|cm|mm|m|"
    r"km|yd|feet|inches|meters|px)\b))"
)
_OF_A_NOUN = re.compile(
    r"\s(?!and\b|or\b|of\b|by\b|in\b|on\b|tall\b|long\b|wide\b|high\b|deep\b|thick\b|he\b|she\b)[a-z]{3,}"
)


def say_feet_and_inches(text: str) -> str:
    """Put feet and inches into words, and `x` between two lengths. Linear in the length."""
    text = _INCH_WORD.sub(
        lambda match: f"{say_quantity(match.group(1))} {_inches(match.group(1))}", _BY.sub(r"\1 by ", text)
    )
    return _say_quoted(text) if "'" in text or '"' in text else text


def _inches(number: str) -> str:
    return "inch" if number == "1" or ("/" in number and " " not in number) else "inches"


def _say_quoted(text: str) -> str:
    text = _FEET.sub(lambda match: f"{say_integer(match.group(1))} foot {say_quantity(match.group(2))}", text)
    text = _FEET_ONLY.sub(lambda match: f"{say_integer(match.group(1) or match.group(2))} feet", text)
    quotes = 0
    parts: list[str] = []
    end = 0
    for inch in _INCHES.finditer(text):
        quotes += text.count('"', end, inch.end() - 1)
        parts.append(text[end : inch.start()])
        if quotes % 2:  # it closes a quotation
            parts.append(inch.group())
            quotes += 1
        else:
            name = "inch" if _OF_A_NOUN.match(text, inch.end()) else _inches(inch.group(1))
            parts.append(f"{say_quantity(inch.group(1))} {name}")
        end = inch.end()
    return "".join(parts) + text[end:]
