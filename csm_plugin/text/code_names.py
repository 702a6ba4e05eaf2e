"""Names from code and trade: camel case, `C++`, `.NET`, letters mixed with digits."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import say_digits, say_integer

_LANGUAGES = re.compile(r"(?<![\w])([CFJ])(\+\+|#|♯)(?![\w+#])")
_LANGUAGE_SIGNS = {"++": "plus plus", "#": "sharp", "♯": "sharp"}
_INCREMENT = re.compile(r"(?<=\b[a-z])(\+\+|--)(?!\w)")
_DOT_NET = re.compile(r"(?<!\w)(?:([A-Z]{2,5}))?\.NET\b")
_SUFFIXES = re.compile(
    r"(?<=[A-Za-z])\.(js|ts|py|io|ai|md|sh|rs|go|cpp|exe|pdf|txt|csv|json|html|css|docx|xlsx|yml|yaml)\b(?!\.)"
)
_LETTERS = frozenset({"js", "ts", "io", "ai", "md", "rs", "pdf", "csv", "html", "css", "cpp", "yml"})
_CALL = re.compile(r"(?<=[A-Za-z0-9_])\(\)")
_CAMEL = re.compile(
    r"(?<![\w.@/-])(?!mmHg)[a-z]{2,20}[0-9]{0,3}(?:[A-Z][a-z0-9]{1,20}|[A-Z]{2,4}(?![a-z])){1,8}(?![A-Za-z0-9])"
)
_PASCAL = re.compile(r"(?<![\w.@/-])(?!Mc|Mac|De|La|Van)(?:[A-Z][a-z0-9]{1,20}){3,8}(?!\w)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CONSTANT = re.compile(r"(?<!\w)[A-Z][A-Z0-9]{1,20}(?:_[A-Z0-9]{1,20}){1,6}(?!\w)")
_MIXED = re.compile(r"(?<![\w.'°-])([A-Z]{1,5})(-?)([0-9]{1,4})([A-Z]?|[a-z])(s?)(?![\w]|[.,][0-9])")
_HEX = re.compile(r"(?<!\w)0[xX]([0-9A-Fa-f]{1,16})(?!\w)")
_FLAG = re.compile(r"(?<![\w-])(--?)([a-z]{1,20}(?:-[a-z]{1,20}){0,4})(?![\w-])")
_WORDS = frozenset({"COVID", "NASA", "LASER", "SARS"})


def say_code_names(text: str) -> str:
    """Put names of code and products into speakable words. Linear in the length."""
    text = _LANGUAGES.sub(lambda match: f"{match.group(1)} {_LANGUAGE_SIGNS[match.group(2)]}", text)
    text = _INCREMENT.sub(lambda match: " plus plus" if match.group(1) == "++" else " minus minus", text)
    text = _DOT_NET.sub(lambda match: f"{match.group(1) or ''} dot net", text)
    text = _HEX.sub(lambda match: f"hex {' '.join(match.group(1).upper())}", text)
    text = _SUFFIXES.sub(_say_suffix, _CALL.sub("", text))
    text = _CONSTANT.sub(lambda match: match.group().lower().replace("_", " "), text)
    for pattern in (_CAMEL, _PASCAL):
        text = pattern.sub(lambda match: _HUMP.sub(" ", match.group()), text)
    return _FLAG.sub(_say_flag, text) if "--" in text else text


def say_mixed_names(text: str) -> str:
    """Put names of capitals and digits, such as CO2 and MP3, into letters and numbers. Linear in the length."""
    return _MIXED.sub(_say_mixed, text)


def _say_suffix(match: re.Match[str]) -> str:
    suffix = match.group(1)
    if suffix in ("js", "ts"):
        return f" {' '.join(suffix.upper())}"
    return f" dot {' '.join(suffix.upper()) if suffix in _LETTERS else suffix}"


def _say_flag(match: re.Match[str]) -> str:
    name = match.group(2).replace("-", " ")
    return f"dash dash {name}" if match.group(1) == "--" else match.group()


def _say_mixed(match: re.Match[str]) -> str:
    letters, hyphen, digits, end, plural = match.groups()
    is_word = len(letters) > 3 and letters not in _WORDS and set(letters) & set("AEIOUY")
    if is_word and not hyphen:
        return match.group()
    spelled = letters if is_word else letters.capitalize() if letters in _WORDS else " ".join(letters)
    number = say_digits(digits) if digits.startswith("0") else say_integer(digits)
    if plural and not number.endswith(("x", "s")):
        number += "s"
    return " ".join(part for part in (spelled, number, end.upper() if end != "s" else "") if part)
