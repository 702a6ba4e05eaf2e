"""Whole numbers, decimals, ordinals, years and digits as English words, by num2words."""

from __future__ import annotations

import functools

from num2words import num2words

INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9])|[0-9]+)"
NUMBER = rf"{INTEGER}(?:\.[0-9]+)?"
"""Pattern of a number as it is written, without a sign."""

_LONGEST_CARDINAL = 15


@functools.lru_cache(maxsize=1_024)
def say_value(value: int, kind: str = "cardinal") -> str:
    """A whole number in words; `kind` is one of num2words' (`cardinal`, `ordinal`, `year`)."""
    return str(num2words(value, to=kind)).replace(",", "")


def say_digits(text: str) -> str:
    """Each digit of a text as a word; everything else in it is dropped."""
    return " ".join(say_value(int(digit)) for digit in text if digit in "0123456789")


def say_groups(text: str) -> str:
    """The digits of a text as words, with a comma wherever something stands between them."""
    groups = "".join(sign if sign in "0123456789" else " " for sign in text).split()
    return ", ".join(say_digits(group) for group in groups)


def say_integer(digits: str) -> str:
    """A whole number; digit by digit if it begins with 0 or is longer than anyone would say."""
    bare = digits.replace(",", "")
    if len(bare) > _LONGEST_CARDINAL or (len(bare) > 1 and bare.startswith("0")):
        return say_digits(bare)
    return say_value(int(bare))


def say_number(number: str) -> str:
    """A number that may have a decimal point; what stands before the point may be missing."""
    whole, point, fraction = number.partition(".")
    if not point:
        return say_integer(whole)
    return f"{say_integer(whole)} point {say_digits(fraction)}" if whole else f"point {say_digits(fraction)}"


def say_ordinal(digits: str) -> str:
    """The ordinal of a whole number."""
    bare = digits.replace(",", "")
    return say_value(int(bare), "ordinal") if len(bare) <= _LONGEST_CARDINAL else f"{say_digits(bare)}th"


def say_year(digits: str) -> str:
    """A year in words: 1999 is nineteen ninety-nine."""
    return say_value(int(digits), "year")
