"""Making text speakable: plain English words and plain punctuation."""

from __future__ import annotations

import re
import unicodedata

from csm_plugin.errors import TextError
from csm_plugin.text.abbreviations import CLOSING, INWARD, NUMBERED, TITLES
from csm_plugin.text.capitals import lower_shouting
from csm_plugin.text.markup import strip_markup
from csm_plugin.text.numbers import say_numbers

MAX_TEXT_CHARACTERS = 4_096
"""Characters that one text may have."""

_FLAT = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ‛", "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‐‑−", "-"),
        "…": "...",
        "—": ", ",
        "½": " 1/2",
        "¼": " 1/4",
        "¾": " 3/4",
        "。": ". ",
        "、": ", ",
        "×": "x",
        "\u00ad": "",
        "\u200b": "",
    }
)
_SIGNS = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "÷": "divided by",
    "±": "plus or minus",
    "≈": "about",
    "~": "about",
    "≤": "at most",
    "≥": "at least",
    "@": "at",
    "/": "",
    "_": "",
    "→": "to",
}
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_UNKNOWN = re.compile(r"[^\w\s.,!?;:'\-–\"()\[\]{}$€£¥₹%°&+=@#/*~`÷±≈≤≥→]+")
_STRUCK = re.compile(r"~{2,}")
_HASH = re.compile(r"(?<!\w)#(?=[0-9])")
_BEFORE_NUMBER = re.compile(r"(?<!\w)([~±≈≤≥+])\s?(?=[0-9])")
_TIMES = re.compile(r"(?<=[0-9])\s?[*x]\s?(?=[0-9])")
_FOLD = re.compile(r"(?<=[0-9])x(?!\w)")
_EMPHASIS = re.compile(r"[*~`]+|(?<![^\W_])_+|_+(?![^\W_])")
_BETWEEN = re.compile(r"(?<=\w)\s?([&+=÷±≈≤≥@/_→])\s?(?=\w)")
_NUMBERED = re.compile(rf"(?<![\w.])({'|'.join(NUMBERED)})\.\s?(?=#?[0-9])")
_ABBREVIATION = re.compile(r"(?<![\w.])([A-Za-z]{2,6}|[A-Za-z]{1,2}\.[A-Za-z])\.(?!\w)")
_INITIALS = re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,8}(?!\w)")
_INNER_DOT = re.compile(r"(?<=[A-Za-z0-9])\.(?=[a-z]{2})|(?<![\w.])\.(?=[A-Za-z])")
_BRACKET = re.compile(r"[()\[\]{}–]")
_HYPHEN = re.compile(r"(?<!\w)-+|-+(?!\w)|-{2,}")
_QUOTE = re.compile(r"\"|(?<!\w)'|'(?!\w)")
_SIGN = re.compile(r"[^\w\s.,!?;:'-]+|_+")
_STOPS = re.compile(r"\s?[.,!?;:](?:\s?[.,!?;:])*\s?")


def check_text(text: object) -> str:
    """Refuse what cannot be text to speak, before anything is spent on it.

    Raises:
        TextError: not a string, blank, or longer than `MAX_TEXT_CHARACTERS`.
    """
    if not isinstance(text, str):
        raise TextError(f"the text is of type {type(text).__name__}; it must be a str")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise TextError(
            f"the text is {len(text):,} characters long; at most {MAX_TEXT_CHARACTERS:,} are allowed at once: "
            "cut it with csm_plugin.text.split_sentences and speak the pieces one after the other"
        )
    if not text or text.isspace():
        raise TextError(f"the text is {'blank' if text else 'empty'}; it must hold at least one letter or digit")
    return text


def normalize(text: str) -> str:
    """Make text speakable: markup and symbols out, numbers and abbreviations in words, punctuation plain.

    Linear in the length; safe from any thread. The result has letters, `. , ! ? ; :`, apostrophes, hyphens and single
    spaces.

    Args:
        text: 1 to `MAX_TEXT_CHARACTERS` characters with something speakable among them.

    Raises:
        TextError: not a string, blank, too long, or nothing in it can be spoken.
    """
    spoken = _speakable(check_text(text))
    if not _has_word(spoken):
        raise TextError(
            f"nothing in the {len(text):,} characters of text can be spoken: it must hold at least one letter or digit "
            "besides markup, addresses, emoji and punctuation"
        )
    return spoken


def is_speakable(text: str) -> bool:
    """Whether `normalize` leaves at least one letter or digit, for text of any length."""
    return _has_word(_speakable(text))


def _has_word(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _speakable(text: str) -> str:
    text = strip_markup(text).translate(_FLAT)
    text = unicodedata.normalize("NFKC", text)
    text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.digit(digit.group())), text)
    text = " ".join(_UNKNOWN.sub(" ", text).split())
    text = lower_shouting(text)
    text = say_numbers(_say_signs_at_numbers(_NUMBERED.sub(_say_numbered, text)))
    text = _EMPHASIS.sub("", text)
    text = _INITIALS.sub(_say_initials, _ABBREVIATION.sub(_say_abbreviation, text))
    text = _BETWEEN.sub(lambda sign: f" {_SIGNS[sign.group(1)]} ", text)
    text = _INNER_DOT.sub(" dot ", text)
    text = _HYPHEN.sub(", ", _BRACKET.sub(", ", text))
    text = _QUOTE.sub("", text)
    text = " ".join(_SIGN.sub(" ", text).split())
    text = _STOPS.sub(_strongest_stop, text)
    return " ".join(text.split()).lstrip(".,!?;:'- ")


def _say_signs_at_numbers(text: str) -> str:
    text = _HASH.sub("number ", _STRUCK.sub(" ", text))
    text = _BEFORE_NUMBER.sub(lambda sign: f"{_SIGNS[sign.group(1)]} ", text)
    return _FOLD.sub(" times", _TIMES.sub(" times ", text))


def _say_numbered(match: re.Match[str]) -> str:
    return f"{NUMBERED[match.group(1)]} "


def _say_abbreviation(match: re.Match[str]) -> str:
    word, rest = match.group(1), match.string[match.end() : match.end() + 2].lstrip()
    if word == "St" and not rest[:1].isupper():
        return "Street" if rest else "Street."
    if word in TITLES:
        return TITLES[word]
    if word.lower() in INWARD:
        return INWARD[word.lower()]
    if word in CLOSING:
        return CLOSING[word] + _stop_before(rest)
    return match.group()


def _say_initials(match: re.Match[str]) -> str:
    rest = match.string[match.end() : match.end() + 2].lstrip()
    return " ".join(match.group().upper().rstrip(".").split(".")) + ("" if rest else ".")


def _stop_before(rest: str) -> str:
    return "." if not rest or rest[0].isupper() else ""


def _strongest_stop(run: re.Match[str]) -> str:
    stops = run.group()
    if "?" in stops or "!" in stops:
        return "? " if "?" in stops else "! "
    if "..." in stops:
        return "... "
    return next(f"{stop} " for stop in ".;:," if stop in stops)
