"""Dates, days, months, years, decades, and spans of them."""

from __future__ import annotations

import re

from csm_plugin.text.abbreviations import MONTHS as _SHORT
from csm_plugin.text.abbreviations import starts_sentence
from csm_plugin.text.locale import Locale
from csm_plugin.text.numerals import say_integer, say_ordinal, say_year

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_LONG = "|".join(_MONTHS)
_MONTH = rf"(?:{_LONG}|(?:{'|'.join(_SHORT)})\b\.?)"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"
_DAY_SIGN = rf"{_DAY}(?:st|nd|rd|th)?"
_YEAR_SIGN = r"(?:1[1-9][0-9]{2}|20[0-9]{2})"
_NOT_MORE = r"(?![0-9:%]|[.,][0-9]|\s?(?:[ap]\.?m\b|%))"

_ISO = re.compile(rf"(?<![\w/-])({_YEAR_SIGN})[-/](0?[1-9]|1[0-2])[-/]({_DAY})(?:T(?=[0-2][0-9]:)|(?![\w/-]))")
_NUMERIC = re.compile(
    r"(?<![\w/.-])([0-9]{1,2})([/.-])([0-9]{1,2})\2((?:1[1-9]|20)[0-9]{2}|[0-9]{2})(?![\w/-]|\.[0-9])"
)
_SHORT_DATE = re.compile(
    r"(?<=\b)((?:[Oo]n|[Bb]y|[Bb]efore|[Aa]fter|[Uu]ntil|[Ss]ince|[Ff]rom|[Dd]ue|[Dd]ated?|to|through|for|"
    r"Mon|Tue|Tues|Wed|Thu|Thurs|Fri|Sat|Sun|[A-Z][a-z]{2,5}day),?:?\s)([0-9]{1,2})/([0-9]{1,2})(?![\w/]|\.[0-9]|"
    r"\s?(?:of|inch|cup|tsp|tbsp)\b)"
)
_DATE_SPAN = re.compile(r"(?<![\w/.-])([0-9]{1,2}/[0-9]{1,2})\s?[-–]\s?([0-9]{1,2}/[0-9]{1,2})(?![\w/])")
_FISCAL = re.compile(r"(?<!\w)(FY|CY)\s?(20[0-9]{2})(?!\w)")
_MONTH_YEAR = re.compile(r"(?<![\w/.-])(0?[1-9]|1[0-2])/((?:19|20)[0-9]{2})(?![\w/])")
_MONTH_DAY = re.compile(
    rf"(?<![\w'])({_MONTH})\s({_DAY_SIGN})(?:\s?(?:[-–]|\bto\b)\s?({_DAY_SIGN})(?!\s?(?:[ap]\.?m\b|"
    rf"{_LONG})))?{_NOT_MORE}(?![\w/])"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.,/:$€£-])(the\s)?({_DAY_SIGN})(?:\s?[-–]\s?({_DAY_SIGN}))?(\s(?:of\s)?)({_MONTH})(?![\w'])"
    r"(?!\s(?:be|not|have|I|he|she|we|they|you|it)\b)"
)
_MONTH_AND_YEAR = re.compile(rf"(?<![\w'])((?:{'|'.join(_SHORT)})\b\.?)(?=,?\s(?:{_YEAR_SIGN})(?!\w))")
_MONTH_SPAN = re.compile(rf"(?<![\w'])({_MONTH})\s?[-–]\s?({_MONTH})(?![\w'])")
_YEARS_BETWEEN = re.compile(rf"(?<=[0-9]{{4}})\s?[-–]\s?(?=(?:{_LONG})\b)")
_AFTER_SPAN = re.compile(rf"((?:{_LONG})\s\w+(?:-\w+)?)\s?[-–]\s?(?=(?:{_LONG})\s)")
_WEEKDAY_SPAN = re.compile(rf"(?<!\w)({'|'.join(_DAYS)})\.?\s?[-–]\s?({'|'.join(_DAYS)})(?!\w)(\.?)")
_WEEKDAY = re.compile(
    rf"(?<!\w)({'|'.join(_DAYS)})(?:\.|(?=,?\s)),?(?=\s(?:{_MONTH}\s[0-9]|[0-9]{{1,2}}(?:\s|:|[ap]m|/|st|nd|rd|th)))"
)
_YEAR_SPAN = re.compile(rf"(?<![\w.,/$€£-])({_YEAR_SIGN})\s?[-–]\s?({_YEAR_SIGN}|[0-9]{{2}})(?![\w/-]|[.,:][0-9]|\s?%)")
_DECADE = re.compile(r"(?<![\w.,])(?<![0-9]m\s)(?:((?:1[1-9]|20)[0-9]0)|'?([2-9]0))'?s(?!\w)")
_YEAR = re.compile(rf"(?<![\w.,/-])({_YEAR_SIGN})(?![\w/-]|[.,][0-9])(?!\s(?!this|does|plus)[a-z]{{3,}}s\b)")
_ORDINAL_DAY = re.compile(r"(st|nd|rd|th)$")


def say_dates(text: str, locale: Locale) -> str:
    """Put dates, and numbers that are surely years, into words. Linear in the length."""
    text = _ISO.sub(lambda match: _say(match, int(match.group(2)), match.group(3), match.group(1), locale), text)
    text = _NUMERIC.sub(lambda match: _say_numeric(match, locale), text)
    text = _FISCAL.sub(lambda match: f"{match.group(1)} {say_year(match.group(2))}", text)
    text = _DATE_SPAN.sub(lambda match: _say_numeric_span(match, locale), text)
    text = _SHORT_DATE.sub(lambda match: _say_short(match, locale), text)
    text = _MONTH_YEAR.sub(lambda match: f"{_MONTHS[int(match.group(1)) - 1]} {match.group(2)}", text)
    text = say_named_spans(text)
    text = _WEEKDAY.sub(lambda match: f"{_DAYS[match.group(1)]},", text)
    text = _MONTH_DAY.sub(lambda match: _say_month_day(match, locale), text)
    text = _AFTER_SPAN.sub(r"\1 to ", text)
    text = _DAY_MONTH.sub(_say_day_month, text)
    text = _MONTH_AND_YEAR.sub(lambda match: _long(match.group(1)), text)
    text = _YEARS_BETWEEN.sub(" to ", text)
    return _DECADE.sub(_say_decade, _YEAR_SPAN.sub(_say_year_span, text))


def say_named_spans(text: str) -> str:
    """Put spans of months and of days of the week into words. Linear in the length."""
    if "-" not in text and "–" not in text:
        return text
    text = _WEEKDAY_SPAN.sub(_say_weekday_span, text)
    return _MONTH_SPAN.sub(lambda match: f"{_long(match.group(1))} to {_long(match.group(2))}", text)


def say_years(text: str) -> str:
    """Put what is left that looks like a year into words. Linear in the length."""
    return _YEAR.sub(lambda match: say_year(match.group(1)), text)


def _say_weekday_span(match: re.Match[str]) -> str:
    first, last, stop = match.groups()
    ends = stop and starts_sentence(match.string[match.end() : match.end() + 32])
    return f"{_DAYS[first]} to {_DAYS[last]}{'.' if ends else ''}"


def _long(month: str) -> str:
    return _SHORT.get(month.rstrip("."), month.rstrip("."))


def _day(sign: str) -> str:
    return say_ordinal(_ORDINAL_DAY.sub("", sign).lstrip("0"))


def _in_order(month: str, day: str, locale: Locale) -> str:
    return f"{month} {_day(day)}" if locale == "en-US" else f"the {_day(day)} of {month}"


def _say(match: re.Match[str], month: int, day: str, year: str, locale: Locale) -> str:
    after = match.string[match.end() : match.end() + 1]
    return f"{_in_order(_MONTHS[month - 1], day, locale)}, {say_year(year)}" + (" " if after.isdigit() else "")


def _say_numeric(match: re.Match[str], locale: Locale) -> str:
    first, sign, second, year = int(match.group(1)), match.group(2), int(match.group(3)), match.group(4)
    if (sign == "." and len(year) == 2) or (sign == "-" and len(year) == 2):
        return match.group()
    day_first = locale == "en-GB" or sign == "."
    month, day = (second, first) if (day_first and second <= 12) or first > 12 else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match.group()
    full = year if len(year) == 4 else f"{'20' if int(year) < 50 else '19'}{year}"
    return _say(match, month, str(day), full, locale)


def _month_and_day(first: int, second: int, locale: Locale) -> tuple[int, int] | None:
    month, day = (second, first) if (locale == "en-GB" and second <= 12) or first > 12 else (first, second)
    return (month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _say_short(match: re.Match[str], locale: Locale) -> str:
    found = _month_and_day(int(match.group(2)), int(match.group(3)), locale)
    if found is None or (match.group(2), match.group(3)) in (
        ("1", "2"),
        ("1", "3"),
        ("1", "4"),
        ("2", "3"),
        ("3", "4"),
    ):
        return match.group()
    return match.group(1) + _in_order(_MONTHS[found[0] - 1], str(found[1]), locale)


def _say_numeric_span(match: re.Match[str], locale: Locale) -> str:
    ends = []
    for sign in match.groups():
        first, _, second = sign.partition("/")
        found = _month_and_day(int(first), int(second), locale)
        if found is None or int(second) in (2, 3, 4, 8, 16):
            return match.group()
        ends.append(_in_order(_MONTHS[found[0] - 1], str(found[1]), locale))
    return " to ".join(ends)


def _say_month_day(match: re.Match[str], locale: Locale) -> str:
    month, day, until = match.groups()
    if until:
        return (
            f"{_in_order(_long(month), day, locale)} to {_day(until)}"
            if locale == "en-US"
            else (f"the {_day(day)} to the {_day(until)} of {_long(month)}")
        )
    return _in_order(_long(month), day, locale)


def _say_day_month(match: re.Match[str]) -> str:
    _, day, until, _, month = match.groups()
    joined = match.string[max(0, match.start() - 4) : match.start()].endswith(("and ", "or ", "to "))
    capital = "" if joined and "of" in match.group(4) else "The" if match.start() == 0 else "the"
    span = f" to {_day(until)}" if until else ""
    words = (
        f"{capital if match.group(1) is None else match.group(1).strip()} {_day(day)}{span} of {_long(month)}".lstrip()
    )
    return words + (
        "." if month.endswith(".") and starts_sentence(match.string[match.end() : match.end() + 32]) else ""
    )


def _say_year_span(match: re.Match[str]) -> str:
    first, last = match.groups()
    if int(first[-len(last) :]) >= int(last):
        return match.group()
    return f"{say_year(first)} to {say_year(last) if len(last) == 4 else say_integer(last)}"


def _say_decade(match: re.Match[str]) -> str:
    words = say_year(match.group(1)) if match.group(1) else say_integer(match.group(2))
    return words[:-1] + "ies" if words.endswith("y") else words + "s"
