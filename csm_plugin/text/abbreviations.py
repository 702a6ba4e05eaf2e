"""English abbreviations: how they are spoken, and which full stops do not end a sentence."""

from __future__ import annotations

import re

TITLES = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Ms",
    "Messrs": "Messieurs",
    "Prof": "Professor",
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Cpl": "Corporal",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Adm": "Admiral",
    "Rev": "Reverend",
    "Msgr": "Monsignor",
    "Hon": "Honorable",
    "Gov": "Governor",
    "Pres": "President",
    "Sen": "Senator",
    "Rep": "Representative",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
}
"""Written with a capital before a name; their full stop never ends a sentence."""

INWARD = {
    "e.g": "for example",
    "i.e": "that is",
    "vs": "versus",
    "cf": "compare",
    "approx": "approximately",
    "viz": "namely",
    "incl": "including",
    "ca": "circa",
    "a.k.a": "also known as",
}
"""What they introduce follows; their full stop never ends a sentence."""

CLOSING = {
    "etc": "et cetera",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Bros": "Brothers",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "dept": "department",
    "Dept": "Department",
    "govt": "government",
    "Govt": "Government",
    "Univ": "University",
    "assoc": "association",
    "Assoc": "Association",
    "est": "established",
    "misc": "miscellaneous",
    "temp": "temperature",
    "tel": "telephone",
    "Tel": "Telephone",
    "al": "al",
    "Ph.D": "P H D",
}
"""Their full stop ends a sentence only if the next word has a capital."""

MONTHS = {
    "Jan": "January",
    "Feb": "February",
    "Mar": "March",
    "Apr": "April",
    "Jun": "June",
    "Jul": "July",
    "Aug": "August",
    "Sept": "September",
    "Sep": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
}

NUMBERED = {
    "No": "Number",
    "no": "number",
    "Nos": "Numbers",
    "nos": "numbers",
    "Fig": "Figure",
    "fig": "figure",
    "Figs": "Figures",
    "figs": "figures",
    "Eq": "Equation",
    "eq": "equation",
    "Vol": "Volume",
    "vol": "volume",
    "Ch": "Chapter",
    "ch": "chapter",
    "Sec": "Section",
    "sec": "section",
    "Art": "Article",
    "art": "article",
    "pp": "pages",
    "pg": "page",
    "p": "page",
    "Apt": "Apartment",
    "apt": "apartment",
    "Ste": "Suite",
    "ste": "suite",
    "Rm": "Room",
    "rm": "room",
    "Fl": "Floor",
    "Ext": "Extension",
    "ext": "extension",
    "Rt": "Route",
    "Rte": "Route",
    **MONTHS,
}
"""Abbreviations only before a number."""

DOTTED_UNITS = frozenset("oz ft lb lbs min mins sec secs hr hrs yr yrs tsp tbsp gal pt qt yd yds mi in".split())
"""Units that may be written with a full stop, which ends a sentence only if the next word has a capital."""

DOTLESS = {
    "w/o": "without",
    "w/": "with",
    "W/": "With",
    "W/o": "Without",
    "n/a": "N A",
    "N/A": "N A",
    "b/c": "because",
    "c/o": "care of",
    "vs": "versus",
    "approx": "approximately",
    "Jr": "Junior",
    "Sr": "Senior",
    "PhD": "P H D",
    "dept": "department",
    "govt": "government",
    "Blvd": "Boulevard",
    "&c": "et cetera",
}
"""Said in full although no full stop follows."""

STARTERS = frozenset(
    "A After All Although An And Another Any Are As At Because Before But By Can Could Did Do Does Each Even "
    "Every Everyone Finally First For From Have He Her Here His How However I I'd I'll I'm I've If In Is It It's "
    "Its Just Let Let's Many Maybe Meanwhile Most My Next No Nobody Not Nothing Now Of On Once One Only Or Our "
    "People Perhaps Please Shall She She's Should Since So Some Someone Sometimes Soon Sorry Thank Thanks That "
    "That's The Their Then There There's These They They're This Those Though Today Tomorrow Tonight Try Under "
    "Until We We'll We're We've Well Were What What's When Where Which While Who Why Will With Would Yes "
    "Yesterday Yet You You'll You're Your".split()
)
"""Words whose capital tells that a sentence begins with them, whatever stands before."""

_FIRST_WORD = re.compile(r"\s*[\"“‘(*_]{0,3}([A-Za-z]+(?:['’][a-z]+)?)")
_BETWEEN_DENIED = r"(?:is|was|be|are|were|said|says|say|answered|replied|answer|thought|with|a|no|just|still|or|and)"
_DENIAL = re.compile(rf"(?:^|[.!?,:;]\s|\b{_BETWEEN_DENIED}\s|'s\s)[\"“']?[Nn]o$")
_COUNTED = re.compile(
    r"\s*[0-9][0-9,]*\s+(?:more\s+|other\s+)?(?:people|men|women|children|of\s(?:them|us|these|those)|[a-z]{2,}s)\b"
)


def first_word(rest: str) -> str:
    """The word that a text begins with, without quotes before it; empty if something else comes first."""
    found = _FIRST_WORD.match(rest)
    return found.group(1).replace("’", "'") if found else ""


def starts_sentence(rest: str) -> bool:
    """Whether what follows an abbreviation's full stop surely begins a sentence, or nothing follows."""
    return not rest.strip() or first_word(rest) in STARTERS


def is_denial(before: str, after: str) -> bool:
    """Whether `no` before a full stop and a number is the answer no: things are counted after it.

    Args:
        before: what stands before the full stop, `no` included.
        after: what follows it.
    """
    return bool(_DENIAL.search(before) and _COUNTED.match(after))
