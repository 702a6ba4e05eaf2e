"""Telephone numbers, their extensions, and the numbers of emergency services: digit by digit."""

from __future__ import annotations

import re

from csm_plugin.text.locale import Locale
from csm_plugin.text.numerals import say_digits, say_groups

_EMERGENCY = "911|999|112|988|411|311|211|511|711|811|101|111|000|110|119"
_CALL = r"(?:[Dd]ial(?:ed|ing|s)?|DIAL|[Cc]all(?:ed|ing|s)?|CALL|[Tt]ext(?:ed|ing)?|TEXT|[Pp]hone[ds]?|[Rr]ing)"
_DIALLED = re.compile(
    rf"\b({_CALL}(?:\s(?:up|to|the))?\s[\"“']?)([0-9]{{3}}(?:\sor\s[0-9]{{3}})?)(?=[\s.,!?;:)\"”']|$)(?!\.[0-9]|"
    rf",[0-9]{{3}}|\s(?:times|people|more))"
)
_IS_CALL = re.compile(rf"\b{_CALL}\b")
_OR_DIALLED = re.compile(r"(\bor\s)(911|999|112|988|000)(?![\w%]|[.,:/-][0-9]|\s[a-z]{3,}s\b)")
_CALLED = re.compile(
    rf"(?<![\w.,$€£/-])({_EMERGENCY})(?=\s(?:call|caller|operator|dispatch|dispatcher|emergency|hotline|lifeline)s?\b)"
)
_SHORT_CODE = re.compile(
    r"\b((?:[Tt]ext|TEXT|[Ss]end|[Rr]eply)\b[^.!?0-9\n]{1,40}?\bto\s)([0-9]{4,6})(?![\w,-]|\.[0-9])"
)
_SHORT_NUMBER = re.compile(rf"\b({_CALL}\s)([0-9]{{5,6}})(?![\w-]|[.,][0-9]|\s[a-z]{{3,}}s\b)")
_BARE = re.compile(
    rf"(\b(?:{_CALL}|[Pp]hone number|[Nn]umber|[Cc]ell|[Mm]obile|[Ff]ax|[Tt]el|WhatsApp|at)(?:\.|:|\sis|\sat|"
    rf"\sme at|\sus at|"
    r"\sthem at|\shim at|\sher at|\smy number|\sthe number)?:?\s)(\+?)([0-9]{7}|1?[2-9][0-9]{9}|"
    r"0[0-9]{9,10})(?![\w-]|[.,][0-9])"
)
_TEN_DIGITS = re.compile(r"(?<![\w.,$€£+/-])([2-9][0-9]{2}[2-9][0-9]{6})(?![\w-]|[.,][0-9]|\s?%)")
_GROUPED = re.compile(
    r"(?<![\w.-])(?:(\+?1)[ .-]?)?(?:\(([0-9]{3})\)[ .-]?|([0-9]{3})[ .-])([0-9]{3})[ .-]([0-9]{4})(?![\w-]|\.[0-9])"
)
_LOCAL = re.compile(r"(?<![\w.-])\+?(?:[0-9]{1,3}[ -])?(?:\([0-9]{3}\)\s?|[0-9]{3}-)?[0-9]{3}-[0-9]{4}(?![\w-])")
_INTERNATIONAL = re.compile(
    r"(?<![\w.])(\+|00(?=[1-9]))([1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){1,6})(?![\w-]|\.[0-9])"
)
_NATIONAL = re.compile(r"(?<![\w.,/-])\(?(0[0-9]{2,4}\)?[ -][0-9]{3,4}(?:[ -]?[0-9]{3,4})?)(?![\w-]|[.,][0-9])")
_WORDED = re.compile(
    r"(?<![\w-])(?:(1)-)?([2-9][0-9]{2})-(?:([0-9]{3})-)?([A-Z]{2,9}-[A-Z]{2,9}|[A-Z]{3,9}|[A-Z]{2}-?[0-9]{2,5})(?![\w])"
)
_KEYPAD = re.compile(r"\b(?:press|dial|hit|key|enter|star)\b", re.IGNORECASE)
_STAR_CODE = re.compile(r"(?<=\s)\*(?=[0-9]{2,3}(?:[\s.,;!?#]|$))")
_KEY = re.compile(r"(?<=\s)([*#])(?=[\s.,;!?]|$)")
_EXTENSION = re.compile(
    r"(?<![\w])(ext\.|ext(?=\s)|extension(?=[\s:]))(\s(?:number|is))?:?\s?#?([0-9]{1,6})(?![\w]|[.,][0-9])",
    re.IGNORECASE,
)
_SHORT_EXTENSION = re.compile(r"(?<=[-. ][0-9]{4}),?\s?x\s?([0-9]{1,6})(?!\w)")


def say_phone_numbers(text: str) -> str:
    """Put telephone numbers into words. Linear in the length."""
    text = _SHORT_EXTENSION.sub(lambda match: f", extension {say_digits(match.group(1))}", text)
    text = _EXTENSION.sub(_say_extension, text)
    text = _DIALLED.sub(lambda match: match.group(1) + " or ".join(map(say_digits, match.group(2).split(" or "))), text)
    if _IS_CALL.search(text):
        text = _OR_DIALLED.sub(lambda match: match.group(1) + say_digits(match.group(2)), text)
    text = _CALLED.sub(lambda match: say_digits(match.group(1)), text)
    text = _SHORT_CODE.sub(lambda match: match.group(1) + say_digits(match.group(2)), text)
    text = _SHORT_NUMBER.sub(lambda match: match.group(1) + say_digits(match.group(2)), text)
    text = _WORDED.sub(_say_worded, text)
    text = _INTERNATIONAL.sub(_say_international, text)
    text = _GROUPED.sub(_say_grouped, text)
    text = _NATIONAL.sub(lambda match: say_groups(match.group(1)), text)
    text = _BARE.sub(_say_bare, text)
    text = _TEN_DIGITS.sub(lambda match: _in_groups(match.group(1)), text)
    return _LOCAL.sub(lambda match: say_groups(match.group()), text)


def say_keys(text: str, locale: Locale) -> str:
    """Name the keys of a telephone, where keys are spoken of. Linear in the length."""
    if ("*" not in text and "#" not in text) or not _KEYPAD.search(text):
        return text
    text = _STAR_CODE.sub("star ", text)
    return _KEY.sub(lambda key: "star" if key.group() == "*" else "hash" if locale == "en-GB" else "pound", text)


def _in_groups(digits: str) -> str:
    """A number without spaces, grouped as North Americans do if it is long enough for that, else in threes."""
    if len(digits) == 7:
        groups = [digits[:3], digits[3:]]
    elif len(digits) == 10 and not digits.startswith("0"):
        groups = [digits[:3], digits[3:6], digits[6:]]
    elif len(digits) == 11 and digits.startswith("1"):
        groups = [digits[0], digits[1:4], digits[4:7], digits[7:]]
    else:
        groups = [digits[:-6], digits[-6:-3], digits[-3:]]
    return ", ".join(say_digits(group) for group in groups if group)


def _say_bare(match: re.Match[str]) -> str:
    return match.group(1) + ("plus " if match.group(2) else "") + _in_groups(match.group(3))


def _say_grouped(match: re.Match[str]) -> str:
    country, *groups = match.groups()
    before = "" if country is None else f"{'plus ' if country.startswith('+') else ''}one, "
    return before + ", ".join(say_digits(group) for group in groups if group)


def _say_international(match: re.Match[str]) -> str:
    number = match.group(2)
    digits = "".join(sign for sign in number if sign.isdigit())
    if not 7 <= len(digits) <= 15:
        return match.group()
    sign = "plus " if match.group(1) == "+" else "zero zero, "
    return sign + (_in_groups(digits) if number.isdigit() else say_groups(number))


def _say_worded(match: re.Match[str]) -> str:
    country, area, prefix, word = match.groups()
    area_words = f"{say_digits(area[0])} hundred" if area.endswith("00") else say_digits(area)
    parts = [say_digits(country) if country else "", area_words, say_digits(prefix or "")]
    letters = word if any(sign.isdigit() for sign in word) else word.lower().replace("-", " ")
    return ", ".join([*(part for part in parts if part), letters])


def _say_extension(match: re.Match[str]) -> str:
    name = "Extension" if match.group(1)[0] == "E" else "extension"
    return f"{name}{match.group(2) or ''} {say_digits(match.group(3))}"
