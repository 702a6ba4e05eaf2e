"""Times of day, spans of them, and time zones."""

from __future__ import annotations

import re

from csm_plugin.text.abbreviations import MONTHS, first_word, starts_sentence
from csm_plugin.text.numerals import say_integer, say_value

ZONES = frozenset(
    "EST EDT ET CST CDT CT MST MDT MT PST PDT PT AKST HST GMT UTC BST IST CET CEST EET WET MSK JST KST SGT AEST AEDT "
    "ACST AWST NZST NZDT".split()
)
_GOES_ON = (
    ZONES
    | frozenset("Eastern Central Mountain Pacific Greenwich Monday Tuesday Wednesday Thursday Friday Saturday".split())
    | frozenset("Sunday Mon Tue Tues Wed Thu Thurs Fri Sat Sun Christmas Easter New London Paris Tokyo".split())
    | frozenset(MONTHS)
    | frozenset(MONTHS.values())
    | {"May"}
)
TIME_GOES_ON = _GOES_ON
"""Words with a capital that go on with a time: its zone, its day."""

_HALF = r"(?:[ap]\.\s?m\.?|[ap]m\b)"
_HOUR_SIGN = r"(?:[01]?[0-9]|2[0-4])"
_SPAN = re.compile(
    rf"(?<![\w.:/$€£,-])({_HOUR_SIGN}(?::[0-5][0-9])?(?:\s?{_HALF})?)\s?[-–]\s?"
    rf"(?={_HOUR_SIGN}(?::[0-5][0-9])?\s?{_HALF}|{_HOUR_SIGN}:[0-5][0-9](?![0-9:]))",
    re.IGNORECASE,
)
_OPEN_HOUR = re.compile(rf"(?<![\w.:/]){_HOUR_SIGN}:00(?=\sto\s{_HOUR_SIGN}:[0-5][0-9]\s?{_HALF})", re.IGNORECASE)
_TIME = re.compile(
    rf"(?<![\w.:])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])(\s?{_HALF})?", re.IGNORECASE
)
_HOUR = re.compile(r"(?<![\w.:])(1[0-2]|0?[1-9])\s?(a\.\s?m\.?|p\.\s?m\.?|am|pm)(?!\w)", re.IGNORECASE)
_HALF_ALONE = re.compile(r"(?<![\w.])([ap])\.\s?m\.(?!\w)", re.IGNORECASE)
_RATIO = re.compile(r"(?<=[0-9]):(?=[0-9])")


def say_times(text: str) -> str:
    """Put times into words, and the colon between other numbers. Linear in the length."""
    if ":" not in text and "m" not in text and "M" not in text:
        return text
    text = _SPAN.sub(r"\1 to ", text)
    text = _OPEN_HOUR.sub(lambda hour: say_integer(hour.group()[:-3]), text)
    text = _TIME.sub(_say_time, text)
    text = _HOUR.sub(lambda match: f"{_bare(match.group(1))} {_say_half(match, match.group(2))}", text)
    text = _HALF_ALONE.sub(lambda match: _say_half(match, match.group()), text)
    return _RATIO.sub(" to ", text)


def ends_at_half_day(rest: str) -> bool:
    """Whether what follows `a.m.` or `p.m.` begins a sentence of its own, or nothing follows."""
    bare = rest.lstrip("*_\"') ")
    if not bare:
        return True
    word = first_word(rest)
    if not rest[:1].isspace() or word in TIME_GOES_ON:
        return False
    return word[:1].isupper() or starts_sentence(rest)


def _bare(hour: str) -> str:
    return say_value(int(hour))


def _say_half(match: re.Match[str], sign: str) -> str:
    sign = sign.strip()
    ends = sign.endswith(".") and ends_at_half_day(match.string[match.end() : match.end() + 32])
    return ("A M" if sign[0] in "aA" else "P M") + ("." if ends else "")


def _say_time(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    words = _bare(hour)
    if minute != "00":
        words += f" oh {say_value(int(minute))}" if minute.startswith("0") else f" {say_value(int(minute))}"
    elif not half:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second and second != "00":
        words += f" and {say_value(int(second))} seconds"
    return f"{words} {_say_half(match, half)}" if half else words
