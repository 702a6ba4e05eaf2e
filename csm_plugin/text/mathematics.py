"""Signs of mathematics: powers, roots, comparisons, arrows, sizes, Greek letters."""

from __future__ import annotations

import re

_GREEK_NAMES = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau "
        "upsilon phi chi psi omega gamma delta theta lambda xi pi sigma phi psi omega".split(),
        strict=True,
    )
)
_GREEK = re.compile(rf"(?<![^\W\d_a-zA-Z])(?<![A-Za-z]{{2}})[{''.join(_GREEK_NAMES)}](?![^\W\d_a-zA-Z]|[A-Za-z]{{2}})")
_ASCII_SIGNS = (
    (re.compile(r"(?<![<>=-])<?[-=]>(?![=>])"), "→"),
    (re.compile(r"\s&&\s"), " and "),
    (re.compile(r"<="), "≤"),
    (re.compile(r">="), "≥"),
    (re.compile(r"!==?(?=\s?[\w(])"), "≠"),
    (re.compile(r"(?<=[\s\w)])={2,3}(?=\s?[\w(\"'-])"), "="),
)
_COMPARED = {
    "<": ("is less than", "less than"),
    ">": ("is greater than", "greater than"),
    "≤": ("is less than or equal to", "at most"),
    "≥": ("is greater than or equal to", "at least"),
    "≠": ("is not equal to", "not equal to"),
}
_LINK = "is|are|was|were|be|of|at|for|if|when|with|to|and|or|than|only|has|have|need|needs|about|age|aged|from|in|by"
_AMOUNT_AHEAD = r"(?=[$€£]?-?\.?[0-9])"
_ASKED = re.compile(r"\b([Ii]s|[Aa]re)(\s[\w./]{1,12}\s)([<>≤≥])\s(?=[\w.])")
_FACTORIAL = re.compile(r"(?<=[0-9])!(?=\s?[=+*/<>≤≥])")
_LINKED = re.compile(rf"\b({_LINK})\s([<>≤≥≠])\s?{_AMOUNT_AHEAD}")
_INFIX = re.compile(r"(?<=[\w)%])(?:\s([<>≤≥≠])\s(?=[\w($.√-])|([<>≤≥≠])(?=-?\.?[0-9])|(?<=[0-9])([<>≤≥≠])(?=\w))")
_ORDER = re.compile(
    r"(?:^|[.!?:]\s)(?:Use|Take|Keep|Try|Pick|Choose|Only|Eat|Drink|Need|Buy|Send|Write|Give|Add|Wait|Under|Not)$"
)
_PREFIX = re.compile(rf"(?<![\w)%<>])([<>≤≥])\s?{_AMOUNT_AHEAD}")
_ROOT = re.compile(r"([√∛])\s?(?:\(([^()]{1,40})\)|(?=\w))")
_OTHERS = {
    "∞": "infinity",
    "∑": "the sum of",
    "∏": "the product of",
    "∫": "the integral of",
    "∂": "d",
    "∈": "in",
    "∝": "is proportional to",
    "∴": "therefore",
    "∆": "delta",
    "⇒": "implies",
    "←": "from",
    "↔": "to",
}
_OTHER = re.compile(f"[{''.join(_OTHERS)}]")
_EQUALS = re.compile(r"(?<=[\w)])\s?=\s?(?=[-(√])|(?<=\))\s?=\s?(?=\w)")
_NEGATED = re.compile(r"(?<=equals )-\s?(?=[\w(])")
_ROOT_CALL = re.compile(r"(?<!\w)sqrt\s?\(([^()]{1,40})\)")
_FUNCTION = re.compile(r"(?<![\w.])([fghFGHP])\(([a-zA-Z0-9])\)")
_SCIENTIFIC = re.compile(r"(?<![\w.])([0-9]{1,3}(?:\.[0-9]{1,12})?)[eE]([+-]?)([0-9]{1,3})(?!\w)")
_POWER = re.compile(
    r"(?:(?<=[\w)])|(?<=\b\w)\s|(?<=\))\s)\^\s?(?:\{([^{}^]{1,40})\}|\(([^()^]{1,40})\)|"
    r"(-?(?:[0-9]+(?:\.[0-9]+)?|[A-Za-z]))(?![A-Za-z0-9]))"
)
_NUMBER_POWER = re.compile(r"(?<=[0-9])\^\s?\(?(-?[0-9]+(?:\.[0-9]+)?)\)?(?![A-Za-z0-9])")
_NAMED_POWERS = {"2": "squared", "3": "cubed"}
_SIZE = re.compile(r"(?<=[0-9])x(?=[0-9])")
_TIMES = re.compile(r"(?<=[0-9)])\s?[*x·]\s?(?=[0-9(])|(?<=\b[A-Za-z0-9])\s\*\s(?=[A-Za-z0-9(]\b)")
_COEFFICIENT = re.compile(r"(?<=[0-9])(?=[a-z](?:\^|\s?[=+]\s?\S|\s-\s|y\b))")
_FOLD = re.compile(r"(?<=[0-9])x(?!\w)")
_DIVIDED = re.compile(r"(?<=[0-9)])(?:\s/\s|\s?÷\s?)(?=[0-9(])")
_MINUS = re.compile(
    r"(?<=[0-9a-z)])\s?[-–]\s?(?=[0-9.]{1,12}[a-z]?\s?=)|(?<=\b[b-z])\s?-\s?(?=[0-9]{1,9}(?:\s?[=)≤≥<>]|$))"
    r"|(?<=\b[b-z])\s-\s(?=[b-z]\b)|(?:(?<=squared)|(?<=cubed))\s?-\s?(?=\w)"
)
_DESCENDING = re.compile(r"(?<![\w.,-])([0-9]{1,9})\s[-–]\s([0-9]{1,9})(?![\w,-]|\.[0-9])")
_BEFORE_NUMBER = re.compile(r"(?<!\w)([~±≈+])\s?(?=[$€£]?\.?[0-9])")
_ABOUT = re.compile(r"(?<![\w~])([~±≈])\s?(?=[$€£]?\.?[0-9])")
_AT_NUMBER = {"~": "about", "≈": "about", "±": "plus or minus", "+": "plus"}


def say_comparisons(text: str) -> str:
    """Put roots, comparisons, arrows and Greek letters into words. Linear in the length."""
    for pattern, sign in _ASCII_SIGNS:
        text = pattern.sub(sign, text)
    if not text.isascii():
        text = _ROOT.sub(_say_root, text)
        text = _OTHER.sub(lambda sign: f" {_OTHERS[sign.group()]} ", text)
        text = _GREEK.sub(lambda letter: f" {_GREEK_NAMES[letter.group()]} ", text)
    text = _ROOT_CALL.sub(r"the square root of \1", _FUNCTION.sub(r"\1 of \2", text))
    text = _NEGATED.sub("minus ", _EQUALS.sub(" equals ", text))
    text = _ABOUT.sub(lambda sign: f"{_AT_NUMBER[sign.group(1)]} ", text)
    text = _FACTORIAL.sub(" factorial", text)
    text = _ASKED.sub(lambda match: f"{match.group(1)}{match.group(2)}{_COMPARED[match.group(3)][1]} ", text)
    text = _LINKED.sub(lambda match: f"{match.group(1)} {_COMPARED[match.group(2)][1]} ", text)
    text = _INFIX.sub(_say_infix, text)
    return _PREFIX.sub(lambda match: f"{_COMPARED[match.group(1)][1]} ", text)


def say_powers(text: str) -> str:
    """Put powers into words. Linear in the length."""
    return _POWER.sub(_say_power, _COEFFICIENT.sub(" ", text)) if "^" in text else text


def say_powers_of_numbers(text: str) -> str:
    """Put powers of numbers into words; their digits stay. Linear in the length."""
    text = _SCIENTIFIC.sub(_say_scientific, text)
    return _NUMBER_POWER.sub(_say_power, text) if "^" in text else text


def say_operations(text: str) -> str:
    """Put what is done with two numbers, and signs before one, into words. Linear in the length."""
    text = _COEFFICIENT.sub(" ", text) if "=" in text or "squared" in text else text
    text = _BEFORE_NUMBER.sub(lambda sign: f"{_AT_NUMBER[sign.group(1)]} ", text)
    text = _TIMES.sub(" times ", _SIZE.sub(" by ", text))
    text = _DIVIDED.sub(" divided by ", _FOLD.sub(" times", text))
    return _DESCENDING.sub(_say_difference, _MINUS.sub(" minus ", text))


def _say_infix(match: re.Match[str]) -> str:
    """Compare two things, or say how much what is ordered may be: `Use < 10 words`."""
    is_order = _ORDER.search(match.string[max(0, match.start() - 16) : match.start()])
    return f" {_COMPARED[match.group(match.lastindex or 1)][1 if is_order else 0]} "


def _say_root(match: re.Match[str]) -> str:
    name = "square" if match.group(1) == "√" else "cube"
    return f" the {name} root of {match.group(2) or ''}"


def _say_power(match: re.Match[str]) -> str:
    exponent = next(group for group in match.groups() if group is not None).strip()
    exponent = f"minus {exponent[1:]}" if exponent.startswith("-") else exponent
    return f" {_NAMED_POWERS.get(exponent) or f'to the power of {exponent}'}"


def _say_scientific(match: re.Match[str]) -> str:
    number, sign, exponent = match.groups()
    return f"{number} times 10 to the power of {'minus ' if sign == '-' else ''}{exponent.lstrip('0') or '0'}"


def _say_difference(match: re.Match[str]) -> str:
    first, second = match.groups()
    return f"{first} minus {second}" if int(first) > int(second) else match.group()
