"""Street addresses: what the street is called, which way it lies, and the flat."""

from __future__ import annotations

import re

from csm_plugin.text.abbreviations import STARTERS, first_word
from csm_plugin.text.numerals import say_digits, say_integer, say_year

_STREETS = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Av": "Avenue",
    "Rd": "Road",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Blvd": "Boulevard",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
    "Ter": "Terrace",
    "Cir": "Circle",
    "Trl": "Trail",
    "Expy": "Expressway",
}
_WAYS = {
    "N": "North",
    "S": "South",
    "E": "East",
    "W": "West",
    "NE": "Northeast",
    "NW": "Northwest",
    "SE": "Southeast",
    "SW": "Southwest",
}
_NAME = r"(?:[A-Z][a-z’']+|[A-Z]|[0-9]{1,3}(?:st|nd|rd|th))"
_STREET = "|".join(_STREETS)
_WAY = r"(?:NE|NW|SE|SW|[NSEW])"
_FULL = r"Street|Avenue|Road|Lane|Drive|Court|Place|Boulevard|Highway|Parkway|Square|Way|Terrace"
_HOUSE = re.compile(
    rf""
    rf"(?<![\w.,$€£:/])([0-9]{{1,5}})([A-Z]?)(\s)(?:({_WAY})\.?\s)?({_NAME}(?:\s{_NAME}){{0,2}})\s({_STREET})\b(\.?)(?:,?\s({_WAY})\b\.?)?"
)
_LONG_HOUSE = re.compile(
    rf""
    rf"(?<![\w.,$€£:/])([0-9]{{1,5}})(\s)(?:({_WAY})\.?\s)?({_NAME}(?:\s{_NAME}){{0,2}})\s({_FULL})\b(?:,?\s({_WAY})\b\.?)?"
)
_NAMED_STREET = re.compile(
    rf"\b((?!(?:The|To|At|In|On|And|Near|Visit|See|Is|Ask|Tell|Meet|With|Hi|Hello|Thanks|Dear|For)\b)[A-Z][a-z]+|"
    rf"[0-9]{{1,3}}(?:st|nd|rd|th))\s(St|Dr)\.(?=\s?(?:,|[a-z0-9(]|{'|'.join(sorted(STARTERS))}\b|Apt|Suite|Ste|Unit|No\b|$))"
)
_PLACES = (
    "[Aa]pt|[Ss]te|[Rr]m|[Ff]l|[Bb]ldg|[Aa]partment|[Ss]uite|[Rr]oom|[Uu]nit|[Ff]loor|[Bb]uilding|[Gg]ate|"
    "[Ss]eats?|[Ff]lat|"
    "[Ee]xit|[Rr]ow|[Pp]latform|[Bb]us|[Ll]ot|[Tt]able|[Aa]isle|[Ll]ocker|[Dd]orm|[Hh]ouse|[Bb]ay|[Tt]rack"
)
_FLAT = re.compile(rf"\b({_PLACES})\b\.?\s?#?([0-9]{{1,5}})?-?([A-Z])?(?!\w)")
_SEATS = re.compile(r"(?<![\w.])([0-9]{1,3})([A-Z])\s?[-–]\s?([0-9]{1,3})([A-Z])(?!\w)")
_FLATS = {"apt": "Apartment", "ste": "Suite", "rm": "Room", "fl": "Floor", "bldg": "Building"}
_BOX = re.compile(r"\bP\.?\s?O\.?\s?Box\s")
_ROUTE = re.compile(r"\b(Hwy|Rte|Rt|US|I|SR)\b\.?[\s-]([0-9]{1,3})(?:\s?([NSEW])\b)?(?!\w|[.,][0-9])")
_ROUTES = {"Hwy": "Highway", "Rte": "Route", "Rt": "Route", "US": "U S", "I": "I", "SR": "State Route"}


def say_addresses(text: str) -> str:
    """Put streets, flats and post boxes into words. Linear in the length."""
    text = _HOUSE.sub(_say_house, text)
    text = _LONG_HOUSE.sub(_say_long_house, text)
    text = _NAMED_STREET.sub(_say_named_street, text)
    text = _SEATS.sub(r"\1 \2 to \3 \4", text)
    text = _FLAT.sub(_say_flat, text)
    text = _ROUTE.sub(_say_route, text)
    return _BOX.sub("P O Box ", text)


def _number(digits: str) -> str:
    if len(digits) == 4 and not digits.startswith("0") and digits[1:] != "000":
        return say_year(digits) if digits[2] != "0" or digits[1] != "0" else say_integer(digits)
    return say_digits(digits) if len(digits) == 5 else say_integer(digits)


def _say_house(match: re.Match[str]) -> str:
    house, letter, _, way, name, street, stop, end_way = match.groups()
    if way is None and name.split()[0] in _MONTH_LIKE:
        return match.group()
    words = [_number(house), letter, _WAYS.get(way, ""), name, _STREETS[street]]
    rest = match.string[match.end() : match.end() + 32]
    words_end = f" {_WAYS[end_way]}" if end_way else ""
    ends = (match.group().endswith(".") if end_way else stop) and (not rest.strip() or _begins(rest))
    return " ".join(word for word in words if word) + words_end + ("." if ends else "")


_NUMBER_AHEAD = re.compile(r"\sNos?\.\s?#?[0-9]")
_MONTH_LIKE = frozenset({"Then", "The", "And", "Or", "But"})


def _begins(rest: str) -> bool:
    return rest[:1].isspace() and first_word(rest) in STARTERS and not _NUMBER_AHEAD.match(rest)


def _say_long_house(match: re.Match[str]) -> str:
    house, _, way, name, street, end_way = match.groups()
    words = [_number(house), _WAYS.get(way, ""), name, street, _WAYS.get(end_way, "")]
    return " ".join(word for word in words if word)


def _say_named_street(match: re.Match[str]) -> str:
    rest = match.string[match.end() : match.end() + 32]
    ends = not rest.strip() or _begins(rest)
    return f"{match.group(1)} {_STREETS[match.group(2)]}" + ("." if ends else "")


def _say_flat(match: re.Match[str]) -> str:
    name, number, letter = match.groups()
    if number is None and (letter is None or name.lower() not in _FLATS):
        return match.group()
    full = _FLATS.get(name.lower(), name)
    words = [full.lower() if name.islower() else full, _number(number) if number else "", letter or ""]
    return " ".join(word for word in words if word)


def _say_route(match: re.Match[str]) -> str:
    name, number, way = match.groups()
    if name in ("US", "I") and match.group()[len(name)] != "-":
        return match.group()
    return " ".join([_ROUTES[name], say_integer(number), *([_WAYS[way]] if way else [])])
