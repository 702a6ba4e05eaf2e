"""Everything written in digits as words: each kind in its turn, the surest first."""

from __future__ import annotations

import re

from csm_plugin.text.code_names import say_mixed_names
from csm_plugin.text.dates import say_dates, say_named_spans, say_years
from csm_plugin.text.digit_strings import say_digit_strings
from csm_plugin.text.feet import say_feet_and_inches
from csm_plugin.text.fractions import say_fractions
from csm_plugin.text.locale import Locale
from csm_plugin.text.mathematics import say_operations, say_powers, say_powers_of_numbers
from csm_plugin.text.money import say_money
from csm_plugin.text.numerals import INTEGER, NUMBER, say_integer, say_number, say_ordinal
from csm_plugin.text.phone_numbers import say_phone_numbers
from csm_plugin.text.times import say_times
from csm_plugin.text.units import say_units

_VERSION = re.compile(r"(?<![\w.])v?([0-9]{1,15}(?:\.[0-9]{1,15}){2,8})(?![\w])")
_ORDINAL = re.compile(rf"(?<![\w.])({INTEGER})(?:st|nd|rd|th)(?!\w)", re.IGNORECASE)
_SPAN = re.compile(rf"(?<![\w.-])({NUMBER})\s?[-–]\s?({NUMBER})(?![\w-])")
_NEGATIVE = re.compile(r"(?:(?<=^)|(?<=[\s(]))[-−](?=\.?[0-9])")
_POINT = re.compile(r"(?<![\w.])\.(?=[0-9])")
_PLAIN = re.compile(NUMBER)


def say_numbers(text: str, locale: Locale = "en-US") -> str:
    """Replace everything written in digits by words; afterwards no ASCII digit is left. Linear in the length."""
    if not any(digit in text for digit in "0123456789"):
        return say_powers(say_times(say_named_spans(text)))
    text = say_phone_numbers(say_dates(text, locale))
    text = say_digit_strings(text)
    text = _VERSION.sub(lambda match: " point ".join(map(say_integer, match.group(1).split("."))), text)
    text = say_times(say_money(text))
    text = say_mixed_names(text)
    text = _ORDINAL.sub(lambda match: say_ordinal(match.group(1)), text)
    text = say_powers_of_numbers(text)
    text = _NEGATIVE.sub("minus ", _SPAN.sub(_say_span, text))
    text = say_years(say_units(say_feet_and_inches(text)))
    text = say_powers(text)
    text = say_fractions(text)
    text = say_operations(text)
    text = _NEGATIVE.sub("minus ", text)
    text = _POINT.sub("point ", text)
    return _PLAIN.sub(_say_plain, text)


def _say_span(match: re.Match[str]) -> str:
    """A span, unless it is a subtraction: something is made equal to it, or it is spaced out and falls."""
    first, last = match.groups()
    is_spaced = len(match.group()) > len(first) + len(last) + 1
    is_falling = float(first.replace(",", "")) > float(last.replace(",", ""))
    is_equated = match.string[match.end() : match.end() + 2].lstrip().startswith("=")
    return match.group() if is_equated or (is_spaced and is_falling) else f"{first} to {last}"


def _say_plain(match: re.Match[str]) -> str:
    before = " " if match.start() and match.string[match.start() - 1].isalpha() else ""
    after = " " if match.string[match.end() : match.end() + 1].isalpha() else ""
    return f"{before}{say_number(match.group())}{after}"
