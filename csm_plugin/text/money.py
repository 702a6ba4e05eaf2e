"""Amounts of money, spans of them, and what they are paid for."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import NUMBER, say_integer, say_number, say_value
from csm_plugin.text.units import say_per

_SYMBOLS = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
    "₩": ("won", ""),
    "₽": ("ruble", "kopeck"),
    "₺": ("lira", ""),
    "₴": ("hryvnia", ""),
    "₦": ("naira", "kobo"),
    "₫": ("dong", ""),
    "₪": ("shekel", ""),
    "₱": ("peso", "centavo"),
    "฿": ("baht", ""),
    "₿": ("bitcoin", ""),
}
_CODES = {
    "USD": "U S dollar",
    "EUR": "euro",
    "GBP": "pound",
    "JPY": "yen",
    "INR": "rupee",
    "CAD": "Canadian dollar",
    "AUD": "Australian dollar",
    "NZD": "New Zealand dollar",
    "SGD": "Singapore dollar",
    "HKD": "Hong Kong dollar",
    "CHF": "Swiss franc",
    "CNY": "yuan",
    "RMB": "yuan",
    "SEK": "Swedish krona",
    "NOK": "Norwegian krone",
    "DKK": "Danish krone",
    "MXN": "Mexican peso",
    "BRL": "Brazilian real",
    "ZAR": "rand",
    "KRW": "won",
    "PLN": "zloty",
    "BTC": "bitcoin",
}
_COUNTRIES = {
    "US": "U S ",
    "U.S.": "U S ",
    "CA": "Canadian ",
    "C": "Canadian ",
    "AU": "Australian ",
    "A": "Australian ",
    "NZ": "New Zealand ",
    "HK": "Hong Kong ",
    "S": "Singapore ",
    "MX": "Mexican ",
}
_SCALES = {
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "bn": "billion",
    "b": "billion",
    "B": "billion",
    "tn": "trillion",
    "T": "trillion",
}
_SCALE = r"(?:\s?(thousand|million|billion|trillion|mn|bn|tn|[kKmMbBT])(?!\w))?"
_SIGNS = "".join(_SYMBOLS)
_AMOUNT = rf"(?:{NUMBER}|\.[0-9]{{1,4}})"
_CODE = "|".join(_CODES)
_CODE_BEFORE = re.compile(rf"(?<![\w.])({_CODE})\s?(?={_AMOUNT})({_AMOUNT}){_SCALE}(?![\w/])")
_CODE_AFTER = re.compile(rf"(?<![\w.{_SIGNS}])([{_SIGNS}]?)({NUMBER}){_SCALE}\s?({_CODE})(?!\w)")
_SPAN = re.compile(
    rf"(?<![\w.])(US|CA|AU|NZ|HK|[CAS])?([{_SIGNS}])\s?({NUMBER})(?:\s?([kKmMbB]|bn)(?!\w))?\s?(?:[-–]|\bto\b)\s?"
    rf"(?:\1?\2)\s?({NUMBER}){_SCALE}(?![-\w])"
)
_SHORT_SPAN = re.compile(
    rf"(?<![\w.])(US|CA|AU|NZ|HK|[CAS])?([{_SIGNS}])\s?({NUMBER})(?:([kKmMbB]|"
    rf"bn))?\s?[-–]\s?({NUMBER}){_SCALE}(?![-\w]|\s?[{_SIGNS}])"
)
_SPAN_AFTER = re.compile(rf"(?<![\w.])({NUMBER})\s?[{_SIGNS}]?\s?[-–]\s?({NUMBER}){_SCALE}\s?([€£])(?!\w)")
_BEFORE = re.compile(
    rf"(?<![\w.])(-?)(?:(US|U\.S\.|CA|AU|NZ|HK|MX)\s?|([CAS]))?([{_SIGNS}])\s?(-?)({_AMOUNT}){_SCALE}(?![\d])"
)
_AFTER = re.compile(rf"(?<![\w.,{_SIGNS}])(-?)({NUMBER}){_SCALE}(?:\s?([€£₹₽₩])|([$¥]))(?![\w$€£]|\s?[0-9])")
_CENTS = re.compile(rf"(?<![\w.])({NUMBER})\s?(¢|￠)")
_RATE = re.compile(
    r"((?:dollars?|cents?|euros?|pounds?|pence|penny|yen|rupees?|francs?|pesos?|yuan|thousand|"
    r"[mb]illion)\s?/\s?)([A-Za-z]{1,9}(?:\s(?:ft|foot|feet)\b)?)(?!\w)"
)
_ONE_OF = re.compile(r"(?:^|\s)(?:[Aa]n?|[Aa]nother|[Ee]very|[Ee]ach)\s(?:[a-z]{3,10}\s)?$")
_THE_ONE = re.compile(r"(?:^|\s)(?:[Tt]he|[Tt]his|[Tt]hat|[Mm]y|[Yy]our|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir)\s$")
_PAID_NOUN = re.compile(
    r"-?\s?(?:[a-z]{4,9}ly\s|annual\s|late\s|gift\s|service\s|cover\s)?(?:fees?|bills?|charges?|deposits?|cards?|credits?|refunds?|"
    r"discounts?|coupons?|notes?|minimum|maximum|limit|price|plans?|fines?|deals?|tips?|copay|deductible|prizes?|rewards?|"
    r"bonus|checks?|tickets?|rebates?|budget|loans?|grants?|fund|option|version|menu|subscription|membership|package|balance|"
    r"payments?|mark|range)\b"
)
_NOUN = re.compile(
    r"-?\s?(?!(?:a|an|the|per|for|to|on|in|of|or|and|at|as|by|from|with|more|less|off|each|every|is|was|if|when|but|so|"
    r"plus|total|that|than|back|now|today|just|too|please|because|until|before|after|i|we|you|he|she|they|"
    r"it)\b)[a-z]{3,}"
)


def say_money(text: str) -> str:
    """Put amounts of money into words. Linear in the length."""
    if any(sign in text for sign in _SIGNS):
        text = _SPAN.sub(_say_span, text)
        text = _SHORT_SPAN.sub(_say_span, text)
        text = _SPAN_AFTER.sub(_say_span_after, text)
    if any(code in text for code in _CODES):
        text = _CODE_BEFORE.sub(lambda match: _say_code(match.group(2), match.group(3), match.group(1)), text)
        text = _CODE_AFTER.sub(lambda match: _say_code(match.group(2), match.group(3), match.group(4)), text)
    if any(sign in text for sign in _SIGNS):
        text = _AFTER.sub(_say_after, _BEFORE.sub(_say_before, text))
    if "¢" in text or "￠" in text:
        text = _CENTS.sub(lambda match: f"{say_number(match.group(1))} {_plural('cent', match.group(1))}", text)
    return _RATE.sub(_say_rate, text) if "/" in text else text


def _plural(unit: str, number: str) -> str:
    if number == "1" or unit in ("yen", "yuan", "won", "baht", "dong", "rand"):
        return unit
    irregular = {"penny": "pence", "paisa": "paise", "Swedish krona": "Swedish kronor"}
    if unit in irregular:
        return irregular[unit]
    return {"Norwegian krone": "Norwegian kroner", "Danish krone": "Danish kroner"}.get(unit, unit + "s")


def _say_amount(
    number: str, scale: str | None, unit: str, part: str, country: str = "", *, one_of: bool = False
) -> str:
    many = country + (unit if one_of else _plural(unit, "2"))
    if scale:
        return f"{say_number(number)} {_SCALES.get(scale, scale)} {many}"
    whole, _, fraction = number.partition(".")
    if not part or len(fraction) not in (0, 2):
        return f"{say_number(number)} {many}"
    amount, parts = int(whole.replace(",", "")[:15] or "0"), int(fraction or "0")
    units = f"{say_integer(whole or '0')} {country}{unit if amount == 1 or one_of else _plural(unit, '2')}"
    if not parts:
        return units
    pieces = f"{say_value(parts)} {_plural(part, str(parts))}"
    return pieces if amount == 0 else f"{units} and {pieces}"


def _say_before(match: re.Match[str]) -> str:
    minus, long_country, short_country, symbol, inner, number, scale = match.groups()
    country = long_country or short_country
    unit, part = _SYMBOLS[symbol]
    before = match.string[max(0, match.start() - 24) : match.start()]
    after = match.string[match.end() : match.end() + 24]
    noun = _NOUN if _ONE_OF.search(before) else _PAID_NOUN if _THE_ONE.search(before) else None
    one_of = noun is not None and noun.match(after) is not None
    words = _say_amount(number, scale, unit, part, _COUNTRIES.get(country or "", ""), one_of=one_of)
    joined = " " if one_of and after.startswith("-") else ""
    return ("minus " if minus or inner else "") + words + joined


def _say_after(match: re.Match[str]) -> str:
    minus, number, scale, *symbols = match.groups()
    unit, part = _SYMBOLS[symbols[0] or symbols[1]]
    return ("minus " if minus else "") + _say_amount(number, scale, unit, part)


def _say_code(number: str, scale: str | None, code: str) -> str:
    unit = _CODES[code]
    part = "cent" if unit.endswith("dollar") or unit == "euro" else "penny" if unit == "pound" else ""
    return _say_amount(number, scale, unit, part)


def _say_span(match: re.Match[str]) -> str:
    country, symbol, first, first_scale, last, scale = match.groups()
    unit, part = _SYMBOLS[symbol]
    end = _say_amount(last, scale, unit, part, _COUNTRIES.get(country or "", ""))
    if "." in first and first_scale is None and scale is None:
        return f"{_say_amount(first, None, unit, part)} to {end}"
    same = first_scale is None or _SCALES.get(first_scale) == _SCALES.get(scale or "", scale)
    return f"{say_number(first)}{'' if same else ' ' + _SCALES[first_scale or '']} to {end}"


def _say_span_after(match: re.Match[str]) -> str:
    first, last, scale, symbol = match.groups()
    return f"{say_number(first)} to {_say_amount(last, scale, *_SYMBOLS[symbol])}"


def _say_rate(match: re.Match[str]) -> str:
    return f"{match.group(1).rstrip('/ ')} {say_per(match.group(2))}"
