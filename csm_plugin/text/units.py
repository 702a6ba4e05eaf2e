"""Quantities: numbers with a unit of measure, and rates per something."""

from __future__ import annotations

import re

from csm_plugin.text.abbreviations import DOTTED_UNITS, starts_sentence
from csm_plugin.text.fractions import FRACTION, say_fraction
from csm_plugin.text.numerals import NUMBER, say_integer, say_number


def _table(rows: str) -> dict[str, tuple[str, str]]:
    """Read rows of `sign sign = one, many`."""
    units: dict[str, tuple[str, str]] = {}
    for row in rows.strip().splitlines():
        signs, _, names = row.partition(" = ")
        one, _, many = names.partition(", ")
        units |= dict.fromkeys(signs.replace("_", " ").split("|"), (one, many or one))
    return units


_UNITS = _table(
    """
km = kilometer, kilometers
m = meter, meters
cm = centimeter, centimeters
mm = millimeter, millimeters
µm|μm|um = micrometer, micrometers
nm = nanometer, nanometers
mi = mile, miles
ft|feet = foot, feet
in. = inch, inches
yd|yds = yard, yards
acres = acre, acres
ha = hectare, hectares
sq_ft|sqft|sq._ft = square foot, square feet
sq_m|sqm = square meter, square meters
sq_mi = square mile, square miles
kg|kgs = kilogram, kilograms
g|gr = gram, grams
mg = milligram, milligrams
mcg|µg|μg|ug = microgram, micrograms
lb|lbs = pound, pounds
oz = ounce, ounces
fl_oz|fl._oz = fluid ounce, fluid ounces
l|L = liter, liters
ml|mL = milliliter, milliliters
cl|cL = centiliter, centiliters
dl|dL = deciliter, deciliters
cc = C C
tsp|tsps = teaspoon, teaspoons
tbsp|tbsps|Tbsp|tbs|Tbs = tablespoon, tablespoons
pt = pint, pints
pts = point, points
qt|qts = quart, quarts
gal = gallon, gallons
h|hr|hrs = hour, hours
min|mins = minute, minutes
s|sec|secs = second, seconds
ms = millisecond, milliseconds
µs|μs = microsecond, microseconds
ns = nanosecond, nanoseconds
yr|yrs = year, years
mo|mos = month, months
wk|wks = week, weeks
mph = mile per hour, miles per hour
km/h|kph|kmh = kilometer per hour, kilometers per hour
m/s = meter per second, meters per second
mpg = mile per gallon, miles per gallon
rpm = R P M
bpm = beat per minute, beats per minute
fps = frame per second, frames per second
psi = P S I
Hz = hertz
kHz = kilohertz
MHz = megahertz
GHz = gigahertz
KB|kB = kilobyte, kilobytes
MB = megabyte, megabytes
GB = gigabyte, gigabytes
TB = terabyte, terabytes
PB = petabyte, petabytes
GiB = gibibyte, gibibytes
MiB = mebibyte, mebibytes
kbps|Kbps|kb/s = kilobit per second, kilobits per second
Mbps|mbps|Mb/s = megabit per second, megabits per second
Gbps|gbps|Gb/s = gigabit per second, gigabits per second
W = watt, watts
kW = kilowatt, kilowatts
MW = megawatt, megawatts
GW = gigawatt, gigawatts
Wh = watt hour, watt hours
kWh = kilowatt hour, kilowatt hours
V = volt, volts
mV = millivolt, millivolts
mA = milliamp, milliamps
mAh = milliamp hour, milliamp hours
Ω = ohm, ohms
kΩ = kilohm, kilohms
dB = decibel, decibels
cal = calorie, calories
kcal = kilocalorie, kilocalories
kJ = kilojoule, kilojoules
hp|HP = horsepower
Pa = pascal, pascals
kPa = kilopascal, kilopascals
hPa = hectopascal, hectopascals
mmHg = millimeters of mercury
ppm = part per million, parts per million
px = pixel, pixels
MP = megapixel, megapixels
dpi = D P I
IU = international unit, international units
lm = lumen, lumens
mol = mole, moles
°C|ºC = degree Celsius, degrees Celsius
°F|ºF = degree Fahrenheit, degrees Fahrenheit
°K = kelvin, kelvins
° = degree, degrees
% = percent
"""
)
_PER = {name: one for name, (one, _) in _UNITS.items()} | {"d": "day", "person": "person", "in": "inch"}
_PER_WORDS = (
    "second|minute|hour|day|night|week|month|quarter|year|person|people|user|seat|mile|meter|kilometer|gallon|"
    "liter|pound|"
    "ounce|kilogram|gram|piece|unit|item|page|word|call|share|student|child|adult|room|ticket|employee|serving|"
    "game|head|"
    "foot|inch|yard|cup|session|visit|line|token|request|team|household|capita|dozen|pair|box|bag|bottle|lesson|"
    "class|guest"
)
_RATE_SIGNS = "s|sec|min|hr|h|wk|mo|yr|kg|g|lb|oz|mi|gal|km|L|l|ml|mL|dL|ft|sq_ft|m|d|kWh".replace("_", " ")
_SIGNS = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_TIGHT = frozenset({"s", "m", "h", "l", "V", "W", "g", "gr", "cal", "Pa", "in."})
_QUANTITY = re.compile(
    rf"(?<![\w.])({FRACTION}|{NUMBER})(\s|-)?({_SIGNS})(\^[23]|[23](?!\w))?(?:/({_RATE_SIGNS})(\^[23]|"
    rf"[23])?)?(?!\w|'[a-z])"
    r"(\.(?=\s[a-z(]|,))?"
)
_ARTICLE = re.compile(r"(?:^|\s)[Aa]n?\s$")
_NOUN = re.compile(
    r"\s(?!(?:of|to|and|or|per|for|in|on|at|is|was|above|below|away|from|long|a|each|every|every)\b)[A-Za-z]{3,}"
)
_SQUARE = {"2": "square ", "3": "cubic "}
_SPAN = re.compile(rf"(?<=[0-9])(\s?(?:{_SIGNS}))\s?[-–]\s?(?=[0-9]+(?:[.,][0-9]+)?\s?(?:{_SIGNS})(?!\w))")
_LAPSE = re.compile(
    r"(?<![\w.])([0-9]{1,3})\s?h(?:rs?)?\s?([0-9]{1,2})\s?(?:m|min|mins)?(?:\s?([0-9]{1,2})\s?(?:s|sec))?(?!\w)"
)
_SHORT_LAPSE = re.compile(r"(?<![\w.])([0-9]{1,3})\s?m(?:in)?\s?([0-9]{1,2})\s?(?:s|sec|secs)(?!\w)")
_SCALED = re.compile(rf"(?<![\w.])({NUMBER})(M|B|bn|mn|tn)(?![\w'])")
_RATE = re.compile(rf"(?:(?<=[0-9%])|(?<=[a-rt-z]s))\s?/\s?({_PER_WORDS})(?![\w/])")
_SCALES = {"M": "million", "B": "billion", "bn": "billion", "mn": "million", "tn": "trillion"}


def say_units(text: str) -> str:
    """Put the units of quantities, and numbers that belong to them, into words. Linear in the length."""
    text = _SPAN.sub(r"\1 to ", text)
    text = _LAPSE.sub(_say_lapse, text)
    text = _SHORT_LAPSE.sub(
        lambda match: f"{_count(match.group(1), 'minute')} {_count(match.group(2), 'second')}", text
    )
    text = _SCALED.sub(lambda match: f"{say_number(match.group(1))} {_SCALES[match.group(2)]}", text)
    text = _QUANTITY.sub(_say_quantity, text)
    return _RATE.sub(r" per \1", text) if "/" in text else text


def say_per(sign: str) -> str:
    """What an amount is given for: `/mo` is per month."""
    return f"per {_PER.get(sign, sign)}"


def say_quantity(number: str) -> str:
    """A whole, decimal or mixed number in words."""
    if "/" not in number:
        return say_number(number)
    head, _, bottom = number.partition("/")
    whole, _, top = head.rpartition(" ")
    words = say_fraction(whole or None, top, bottom)
    return f"{say_integer(top)} over {say_integer(bottom)}" if words is None else words


def _is_one(number: str) -> bool:
    return number == "1" or ("/" in number and " " not in number)


def _name(number: str, unit: str) -> str:
    one, many = _UNITS[unit]
    return one if _is_one(number) else many


def _count(number: str, name: str) -> str:
    return f"{say_integer(number.lstrip('0') or '0')} {name}{'' if number == '1' else 's'}"


def _say_quantity(match: re.Match[str]) -> str:
    number, joint, unit, power, per, per_power, stop = match.groups()
    if joint == "-" and unit in _TIGHT | {"°", "%"}:
        return match.group()
    if (
        unit == "s"
        and joint is None
        and "/" not in number
        and len(number.replace(",", "")) in (2, 4)
        and number.endswith("0")
    ):
        return match.group()  # a decade
    name = _UNITS[unit][0] if joint == "-" or _is_one(number) or _is_of_a_noun(match) else _UNITS[unit][1]
    if power and "/" in unit:
        name += " squared" if power[-1] == "2" else " cubed"
        power = None
    words = f"{say_quantity(number)} {_SQUARE[power[-1]] if power else ''}{name}"
    if per:
        words += f" per {_SQUARE[per_power[-1]] if per_power else ''}{_PER[per]}"
    ends = unit == "in." and starts_sentence(match.string[match.end() : match.end() + 32])
    return words + ("." if ends or (stop and unit not in DOTTED_UNITS) else "")


def _is_of_a_noun(match: re.Match[str]) -> bool:
    """Whether a quantity tells what something is like: a 10 lb turkey."""
    text = match.string
    return bool(
        match.group(3) not in ("%", "°")
        and _ARTICLE.search(text[max(0, match.start() - 4) : match.start()])
        and _NOUN.match(text[match.end() : match.end() + 16])
    )


def _say_lapse(match: re.Match[str]) -> str:
    hours, minutes, seconds = match.groups()
    words = f"{_count(hours, 'hour')} {_count(minutes, 'minute')}"
    return f"{words} {_count(seconds, 'second')}" if seconds else words
