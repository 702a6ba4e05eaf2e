"""English abbreviations: how they are spoken, and which full stops do not end a sentence."""

from __future__ import annotations

TITLES = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Ms",
    "Prof": "Professor",
    "Gen": "General",
    "Col": "Colonel",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "St": "Saint",
    "Mt": "Mount",
}
"""Written with a capital before a name; their full stop never ends a sentence."""

INWARD = {
    "e.g": "for example",
    "i.e": "that is",
    "vs": "versus",
    "cf": "compare",
    "approx": "approximately",
    "viz": "namely",
}
"""What they introduce follows; their full stop never ends a sentence."""

CLOSING = {
    "etc": "et cetera",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Jr": "Junior",
    "Sr": "Senior",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "dept": "department",
    "Dept": "Department",
    "est": "established",
    "al": "al",
    "Ph.D": "P H D",
}
"""Their full stop ends a sentence only if the next word has a capital."""

NUMBERED = {
    "No": "Number",
    "no": "number",
    "Nos": "Numbers",
    "Fig": "Figure",
    "fig": "figure",
    "Vol": "Volume",
    "vol": "volume",
    "Ch": "Chapter",
    "Sec": "Section",
    "pp": "pages",
    "Jan": "January",
    "Feb": "February",
    "Mar": "March",
    "Apr": "April",
    "Jun": "June",
    "Jul": "July",
    "Aug": "August",
    "Sep": "September",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
}
"""Abbreviations only before a number."""
