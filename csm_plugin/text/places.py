"""States of the United States behind a town, and their ZIP codes."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import say_digits

_STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "D C", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho",
    "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine",
    "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri",
    "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico",
    "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon",
    "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee",
    "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
    "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
_ALSO_WORDS = frozenset("OK OR IN ME HI OH PA MA ID LA DE CO MS MD AL".split())
_SIGNS = "|".join(_STATES)
_ZIP = re.compile(
    rf"(?<!\w)({_SIGNS}|{'|'.join(_STATES.values())}),?\s([0-9]{{5}})(?:-([0-9]{{4}}))?(?!\w|,[0-9]|\s[a-z]{{3,}}s\b)"
)
_STATE = re.compile(
    rf"(?<=[a-z]),\s({'|'.join(sorted(set(_STATES) - _ALSO_WORDS))})"
    r"(?=[,.;:?!)]|$|\s(?:and|or|is|was|has|on|at|in|to|by|for|from|with|where|area|office|near|today|tomorrow)\b)"
)
_PLUS_FOUR = re.compile(r"(?<![\w.,$-])([0-9]{5}-[0-9]{4})(?![\w-])")


def say_places(text: str) -> str:
    """Put states and ZIP codes into words. Linear in the length."""
    text = _ZIP.sub(_say_zip, text)
    text = _PLUS_FOUR.sub(lambda match: ", ".join(map(say_digits, match.group(1).split("-"))), text)
    return _STATE.sub(lambda match: f", {_STATES[match.group(1)]}", text)


def _say_zip(match: re.Match[str]) -> str:
    state, code, more = match.groups()
    return f"{_STATES.get(state, state)}, {say_digits(code)}" + (f", {say_digits(more)}" if more else "")
