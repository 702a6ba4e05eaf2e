"""Numbers as English words, by num2words."""

from __future__ import annotations

import functools
import re

from num2words import num2words

_LONGEST_CARDINAL = 15

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
_MONTH_BEFORE = re.compile(rf"(?:{'|'.join(_MONTHS)})\s([0-9]{{1,2}})(?![0-9:.,]?[0-9])")
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
}
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
_UNITS = {
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "kg": "kilograms",
    "mg": "milligrams",
    "ml": "milliliters",
    "mph": "miles per hour",
    "km/h": "kilometers per hour",
    "kHz": "kilohertz",
    "Hz": "hertz",
    "GHz": "gigahertz",
    "MHz": "megahertz",
    "KB": "kilobytes",
    "kB": "kilobytes",
    "MB": "megabytes",
    "GB": "gigabytes",
    "TB": "terabytes",
    "ms": "milliseconds",
    "kW": "kilowatts",
    "°C": "degrees Celsius",
    "°F": "degrees Fahrenheit",
    "°": "degrees",
}
_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "a quarter", "3/4": "three quarters"}

_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9])|[0-9]+)"
_NUMBER = rf"{_INTEGER}(?:\.[0-9]+)?"
_MONEY = re.compile(
    rf"(?<![\w.])(-?)([$€£¥₹])\s?({_NUMBER})(?:\s?(thousand|million|billion|trillion|bn|[kKmMB])(?!\w))?"
)
_TIME = re.compile(
    r"(?<![\w.:])([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])(\s?(?:[ap]\.m\.?|[ap]m\b))?",
    re.IGNORECASE,
)
_HOUR = re.compile(r"(?<![\w.:])(1[0-2]|0?[1-9])\s?(a\.m\.?|p\.m\.?|am|pm)(?!\w)", re.IGNORECASE)
_RATIO = re.compile(r"(?<=[0-9]):(?=[0-9])")
_DATE = re.compile(r"(?<![\w/-])((?:1[1-9]|20)[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(?![\w/-])")
_PHONE = re.compile(r"(?<![\w.-])\+?(?:[0-9]{1,3}[ -])?(?:\([0-9]{3}\)\s?|[0-9]{3}-)?[0-9]{3}-[0-9]{4}(?![\w-])")
_VERSION = re.compile(r"(?<![\w.])v?([0-9]{1,15}(?:\.[0-9]{1,15}){2,8})(?![\w])")
_ORDINAL = re.compile(rf"(?<![\w.])({_INTEGER})(?:st|nd|rd|th)(?!\w)", re.IGNORECASE)
_DECADE = re.compile(r"(?<![\w.,])(?:((?:1[1-9]|20)[0-9]0)|'?([2-9]0))'?s(?!\w)")
_YEAR = re.compile(r"(?<![\w.,/-])(1[1-9][0-9]{2}|20[0-9]{2})(?![\w/-]|[.,][0-9])(?!\s(?!this|does|plus)[a-z]{3,}s\b)")
_FRACTION = re.compile(r"(?<![\w./])[1-3]/[2-4](?![\w/])")
_RANGE = re.compile(rf"(?<![\w.-])({_NUMBER})\s?[-–]\s?({_NUMBER})(?![\w-])")
_QUANTITY = re.compile(
    rf"(?<![\w.])({_NUMBER})\s?(%|{'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?!\w)"
)
_NEGATIVE = re.compile(r"(?:(?<=^)|(?<=[\s(]))[-−](?=\.?[0-9])")
_POINT = re.compile(r"(?<![\w.])\.(?=[0-9])")
_PLAIN = re.compile(_NUMBER)


def say_numbers(text: str) -> str:
    """Replace everything written in digits by words; afterwards no ASCII digit is left. Linear in the length."""
    text = _DATE.sub(_say_date, text)
    text = _PHONE.sub(_say_phone, text)
    text = _VERSION.sub(lambda match: " point ".join(map(_say_integer, match.group(1).split("."))), text)
    text = _MONEY.sub(_say_money, text)
    text = _TIME.sub(_say_time, text)
    text = _HOUR.sub(lambda match: f"{_say_integer(match.group(1))} {_say_half_day(match, 2)}", text)
    text = _RATIO.sub(" to ", text)
    text = _ORDINAL.sub(lambda match: _say_ordinal(match.group(1)), text)
    text = _DECADE.sub(_say_decade, text)
    text = _MONTH_BEFORE.sub(_say_day, text)
    text = _YEAR.sub(lambda match: _say_year(match.group(1)), text)
    text = _FRACTION.sub(lambda match: _FRACTIONS.get(match.group(), match.group()), text)
    text = _RANGE.sub(r"\1 to \2", text)
    text = _NEGATIVE.sub("minus ", text)
    text = _QUANTITY.sub(_say_quantity, text)
    text = _POINT.sub("point ", text)
    return _PLAIN.sub(_say_plain, text)


@functools.lru_cache(maxsize=1_024)
def _words(value: int, kind: str = "cardinal") -> str:
    return str(num2words(value, to=kind)).replace(",", "")


def _say_digits(digits: str) -> str:
    return " ".join(_words(int(digit)) for digit in digits if digit.isdigit())


def _say_phone(match: re.Match[str]) -> str:
    return ", ".join(_say_digits(group) for group in re.findall(r"[0-9]+", match.group()))


def _say_integer(digits: str) -> str:
    bare = digits.replace(",", "")
    if len(bare) > _LONGEST_CARDINAL or (len(bare) > 1 and bare.startswith("0")):
        return _say_digits(bare)
    return _words(int(bare))


def _say_number(number: str) -> str:
    whole, point, fraction = number.partition(".")
    return _say_integer(whole) + (f" point {_say_digits(fraction)}" if point else "")


def _say_plain(match: re.Match[str]) -> str:
    before = " " if match.start() and match.string[match.start() - 1].isalpha() else ""
    after = " " if match.string[match.end() : match.end() + 1].isalpha() else ""
    return f"{before}{_say_number(match.group())}{after}"


def _say_ordinal(digits: str) -> str:
    bare = digits.replace(",", "")
    return _words(int(bare), "ordinal") if len(bare) <= _LONGEST_CARDINAL else f"{_say_digits(bare)}th"


def _say_year(digits: str) -> str:
    return _words(int(digits), "year")


def _say_decade(match: re.Match[str]) -> str:
    words = _say_year(match.group(1)) if match.group(1) else _say_integer(match.group(2))
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _say_date(match: re.Match[str]) -> str:
    month, day = _MONTHS[int(match.group(2)) - 1], _words(int(match.group(3)), "ordinal")
    return f"{month} {day}, {_say_year(match.group(1))}"


def _say_day(match: re.Match[str]) -> str:
    month = match.group().split()[0]
    return f"{month} {_words(int(match.group(1)), 'ordinal')}"


def _say_half_day(match: re.Match[str], group: int) -> str:
    sign = match.group(group).strip()
    ends_text = sign.endswith(".") and match.end() == len(match.string)
    return ("A M" if sign[0] in "aA" else "P M") + ("." if ends_text else "")


def _say_time(match: re.Match[str]) -> str:
    hour, minute, second, half = match.groups()
    words = _say_integer(hour.lstrip("0") or "0")
    if minute != "00":
        words += f" oh {_words(int(minute))}" if minute.startswith("0") else f" {_words(int(minute))}"
    elif not half:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second and second != "00":
        words += f" and {_words(int(second))} seconds"
    return f"{words} {_say_half_day(match, 4)}" if half else words


def _say_money(match: re.Match[str]) -> str:
    sign, symbol, number, scale = match.groups()
    unit, part = _CURRENCIES[symbol]
    minus = "minus " if sign else ""
    if scale:
        return f"{minus}{_say_number(number)} {_SCALES.get(scale, scale)} {_plural(unit, 2)}"
    whole, _, fraction = number.partition(".")
    if not part or len(fraction) not in (0, 2):
        return f"{minus}{_say_number(number)} {_plural(unit, 2)}"
    amount = int(whole.replace(",", "")[:_LONGEST_CARDINAL])
    parts = int(fraction or "0")
    units = f"{_say_integer(whole)} {_plural(unit, amount)}"
    if not parts:
        return minus + units
    pieces = f"{_words(parts)} {_plural(part, parts)}"
    return f"{minus}{pieces}" if amount == 0 else f"{minus}{units} and {pieces}"


def _plural(unit: str, count: int) -> str:
    if count == 1 or unit == "yen":
        return unit
    return {"penny": "pence", "paisa": "paise"}.get(unit, unit + "s")


def _say_quantity(match: re.Match[str]) -> str:
    number, unit = match.groups()
    name = "percent" if unit == "%" else _UNITS[unit]
    if number == "1" and name.split()[0].endswith("s"):
        first, _, rest = name.partition(" ")
        name = f"{first[:-1]} {rest}".strip()
    return f"{_say_number(number)} {name}"
