"""Characters made plain: one kind of quote and dash, no marks that cannot be spoken, raised digits as powers."""

from __future__ import annotations

import re
import unicodedata

_FLAT = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ‛", "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‐‑−", "-"),
        "…": "...",
        "—": ", ",
        "。": ". ",
        "、": ", ",
        "×": "x",
        "№": "number ",
        "′": "'",
        "″": '"',
        "⋅": "*",
        "≦": "≤",
        "≧": "≥",
        **dict.fromkeys("™®©℠", " "),
    }
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_POWER = re.compile(r"(?:(?<=[0-9)])|(?<![A-Za-z])([A-Za-zµ]{1,2}))([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_TIMES = re.compile(r"\s?×\s?(?=10(?:\^|[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]))")
_NOTE = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_VULGAR = re.compile(r"([0-9]?)([¼-¾⅐-⅞↉])(?=(\w?))")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_UNSPOKEN = frozenset({"Mn", "Me", "Cf"})


def flatten(text: str) -> str:
    """Give a text in plain characters; what only decorates a letter is dropped. Linear in the length."""
    if text.isascii():
        return text
    text = _TIMES.sub(" * ", text).translate(_FLAT)
    text = _NOTE.sub("", _POWER.sub(_say_power, text))
    text = unicodedata.normalize("NFKC", _VULGAR.sub(_write_fraction, text))
    text = "".join(sign for sign in text if unicodedata.category(sign) not in _UNSPOKEN)
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.digit(digit.group())), text)


def _say_power(match: re.Match[str]) -> str:
    return f"{match.group(1) or ''}^{match.group(2).translate(_RAISED)}"


def _write_fraction(match: re.Match[str]) -> str:
    whole, sign, after = match.groups()
    fraction = unicodedata.normalize("NFKC", sign).replace("⁄", "/")
    return f"{whole} {fraction}{' ' if after else ''}"
