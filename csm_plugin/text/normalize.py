"""Making text speakable: plain English words and plain punctuation."""

from __future__ import annotations

import re

from csm_plugin.errors import TextError
from csm_plugin.text.abbreviations import (
    CLOSING,
    DOTLESS,
    INWARD,
    NUMBERED,
    TITLES,
    is_denial,
    starts_sentence,
)
from csm_plugin.text.addresses import say_addresses
from csm_plugin.text.capitals import is_shouted, lower_shouted, say_capitals
from csm_plugin.text.characters import flatten
from csm_plugin.text.code_names import say_code_names
from csm_plugin.text.cues import drop_cues
from csm_plugin.text.hidden import CodeReading, shown
from csm_plugin.text.latex import say_latex
from csm_plugin.text.locale import Locale, check_locale
from csm_plugin.text.markup import strip_markup
from csm_plugin.text.mathematics import say_comparisons
from csm_plugin.text.numbers import say_numbers
from csm_plugin.text.phone_numbers import say_keys
from csm_plugin.text.places import say_places
from csm_plugin.text.roman import say_roman_numerals

MAX_TEXT_CHARACTERS = 4_096
"""Characters that one text may have."""

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
_UNKNOWN = re.compile(r"[^\w\s.,!?;:'\-–\"()\[\]{}$€£¥₹₩₽₺₴₦₫₪₱฿₿¢%‰°§&+=@#/*~`÷±≈≤≥≠<>^·√∛∞∑∏∫∂∈∝∴∆⇒←↔→Ωµ]+")
_AT = re.compile(r"(?<!\w)@\s?(?=[0-9])")
_STRUCK = re.compile(r"~{2,}")
_HASH = re.compile(r"(?<!\w)#(?=[0-9])")
_EMPHASIS = re.compile(r"[*~`]+|(?<![^\W_])_+|_+(?![^\W_])")
_BETWEEN = re.compile(r"(?<=\w)\s?([&+=÷±≈≤≥@/_→])\s?(?=\w)")
_NUMBERED = re.compile(rf"(?<![\w.])({'|'.join(NUMBERED)})\.\s?(?=#?[0-9])")
_PLAINLY_NUMBERED = re.compile(r"(?<![\w.])(Vol|vol|Apt|apt|Ste|Fig|fig|pp|pg)\s(?=#?[0-9])")
_DOTLESS = re.compile(rf"(?<![\w/.@])({'|'.join(map(re.escape, sorted(DOTLESS, key=len, reverse=True)))})(?![\w./'-])")
_WITH = re.compile(r"(?<![\w/.])([Ww])/(?:(o)(?!\w)\s?|(?=\w))")
_ABBREVIATION = re.compile(r"(?<![\w.])([A-Za-z]{2,6}|[A-Za-z]{1,2}(?:\.[A-Za-z]){1,2})\.(?!\w)")
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


def normalize(text: str, *, locale: Locale = "en-US", code: CodeReading = "skip") -> str:
    """Make text speakable: markup and symbols out, numbers and abbreviations in words, punctuation plain.

    Linear in the length; safe from any thread. The result has letters, `. , ! ? ; :`, apostrophes, hyphens and single
    spaces.

    Args:
        text: 1 to `MAX_TEXT_CHARACTERS` characters with something speakable among them.
        locale: how dates are read: `03/04/2025` is in March in the United States and in April in Britain.
        code: what is done with fenced code.

    Raises:
        TextError: not a string, blank, too long, or nothing in it can be spoken.
        SettingsError: `locale` or `code` is none of those.
    """
    spoken = _speakable(check_text(text), check_locale(locale), code)
    if not _has_word(spoken):
        raise TextError(
            f"nothing in the {len(text):,} characters of text can be spoken: it must hold at least one letter or digit "
            "besides markup, addresses, emoji and punctuation"
        )
    return spoken


def is_speakable(text: str) -> bool:
    """Whether `normalize` leaves at least one letter or digit, for text of any length."""
    return _has_word(_speakable(text, "en-US", "skip"))


def _has_word(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _speakable(text: str, locale: Locale, code: CodeReading) -> str:
    text = flatten(strip_markup(drop_cues(shown(text, code))))
    text = say_latex(text)
    text = " ".join(_UNKNOWN.sub(" ", say_code_names(text)).split())
    shouted = is_shouted(text)
    text = say_roman_numerals(text)
    if shouted:
        text = lower_shouted(text)
    text = " ".join(say_comparisons(_say_short_forms(say_keys(text, locale))).split())
    text = say_capitals(say_numbers(_HASH.sub("number ", _say_streets(text)), locale))
    text = _EMPHASIS.sub("", text)
    text = _INITIALS.sub(_say_initials, _ABBREVIATION.sub(_say_abbreviation, text))
    text = _BETWEEN.sub(lambda sign: f" {_SIGNS[sign.group(1)]} ", text)
    text = _INNER_DOT.sub(" dot ", text)
    text = _HYPHEN.sub(", ", _BRACKET.sub(", ", text))
    text = _QUOTE.sub("", text)
    text = " ".join(_SIGN.sub(" ", text).split())
    text = _STOPS.sub(_strongest_stop, text)
    return " ".join(text.split()).lstrip(".,!?;:'- ")


def _say_streets(text: str) -> str:
    return _NUMBERED.sub(_say_numbered, say_places(say_addresses(text)))


def _say_short_forms(text: str) -> str:
    if "/" in text:
        text = _WITH.sub(lambda match: f"{match.group(1)}ith{'out' if match.group(2) else ''} ", text)
    text = _DOTLESS.sub(lambda match: DOTLESS[match.group(1)], _AT.sub("at ", _STRUCK.sub(" ", text)))
    return _PLAINLY_NUMBERED.sub(lambda match: f"{NUMBERED[match.group(1)]} ", text)


def _say_numbered(match: re.Match[str]) -> str:
    word, text = match.group(1), match.string
    if word in ("No", "no"):
        before, after = text[max(0, match.start() - 24) : match.end(1)], text[match.end(1) + 1 : match.end() + 32]
        if is_denial(before, after):
            return match.group()
    return f"{NUMBERED[word]} "


def _say_abbreviation(match: re.Match[str]) -> str:
    word, rest = match.group(1), match.string[match.end() : match.end() + 32]
    if word == "St" and not rest.lstrip()[:1].isupper():
        return "Street" if rest else "Street."
    if word in TITLES:
        return TITLES[word]
    if word.lower() in INWARD:
        return INWARD[word.lower()]
    if word in CLOSING:
        return CLOSING[word] + ("" if word == "Sr" and not match.start() else _stop_before(rest.lstrip()))
    return match.group()


def _say_initials(match: re.Match[str]) -> str:
    rest = match.string[match.end() : match.end() + 32]
    return " ".join(match.group().upper().rstrip(".").split(".")) + ("." if starts_sentence(rest) else "")


def _stop_before(rest: str) -> str:
    return "." if not rest or rest[0].isupper() else ""


def _strongest_stop(run: re.Match[str]) -> str:
    stops = run.group()
    if "?" in stops or "!" in stops:
        return "? " if "?" in stops else "! "
    if "..." in stops:
        return "... "
    return next(f"{stop} " for stop in ".;:," if stop in stops)
