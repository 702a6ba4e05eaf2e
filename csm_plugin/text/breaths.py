"""Where a sentence that is too long is cut: where a speaker would breathe, and never inside a thing that is one."""

from __future__ import annotations

import re

from csm_plugin.text.abbreviations import CLOSING, DOTTED_UNITS, INWARD, NUMBERED, TITLES

_SPACE = re.compile(r"[ \n]")
_WHOLE = re.compile(
    r"!?\[[^\[\]\n]{0,160}\]\([^()\s]{0,160}\)|\[[^\[\]\n]{1,60}\]|</?[A-Za-z][^<>\n]{0,160}>|`[^`\n]{1,80}`|"
    r"\*\*[^*\n]{1,60}\*\*"
    r"|\([^()\n]{1,40}\)|\$[^$\n]{1,60}\\[^$\n]{1,60}\$|\"[^\"\n]{1,30}\""
)
_CONJUNCTION = frozenset(
    "and but or nor so yet because although though while whereas which who whom whose where when if unless until "
    "since before after then that".split()
)
_PREPOSITION = frozenset(
    "in on at by with from for to into onto over under through during between among without about against".split()
)
_LEADING = frozenset(
    "a an the this that these those my your his her its our their of to in on at by with from for and or but as "
    "is are was were be been has have had will would can could may might must shall should not no very more most "
    "so than into".split()
)
_ABBREVIATED = frozenset({*TITLES, *INWARD, *NUMBERED, *CLOSING, *DOTTED_UNITS})
_STOPS = (",", ";", ":", "—", "–", ")")
_BEST, _CONJOINED, _PREPOSED, _PLAIN, _TORN, _NAME, _BOUND, _INSIDE = range(8)


def breath(window: str, longest: int) -> int:
    """Where to cut `window` so that at most `longest` characters come before the cut.

    The later half is looked at first; the whole if nothing there can be cut without tearing something apart.
    """
    spans = [(found.start(), found.end()) for found in _WHOLE.finditer(window)]
    places = [space.start() for space in _SPACE.finditer(window, 1, longest + 1)]
    costs = {place: _cost(window, place, spans) for place in places}
    late = [place for place in places if place >= longest // 2 and costs[place] < _NAME]
    chosen = late or [place for place in places if costs[place] < _BOUND] or places
    return min(chosen, key=lambda place: (costs[place], -place)) if chosen else longest


def _cost(window: str, place: int, spans: list[tuple[int, int]]) -> int:
    if any(start < place < end for start, end in spans):
        return _INSIDE
    before, after = _last_word(window[:place]), window[place:].lstrip().split(" ", 1)[0]
    bare, following = before.strip("\"'“”‘’([*_"), after.strip("\"'“”‘’([*_.,;:!?)]")
    if (bare[-1:].isdigit() and not before.endswith(_STOPS)) or following[:1].isdigit() or _is_abbreviation(bare):
        return _BOUND
    if before[-1:] in "$€£¥#+-=/~<>(" or after[:1] in "%°+-=/<>)":
        return _BOUND
    if before.rstrip("\"'”’*_").endswith(_STOPS):
        return _BEST
    if following.lower() in _CONJUNCTION and bare.lower() not in _LEADING:
        return _CONJOINED
    if bare.lower() in _LEADING:
        return _TORN
    if bare[:1].isupper() and following[:1].isupper():
        return _NAME
    return _PREPOSED if following.lower() in _PREPOSITION else _PLAIN


def _last_word(text: str) -> str:
    return text[-40:].rstrip().rpartition(" ")[2].rpartition("\n")[2]


def _is_abbreviation(word: str) -> bool:
    stem = word[:-1]
    return word.endswith(".") and (stem in _ABBREVIATED or len(stem) == 1 or ("." in stem and stem[-1:].isalpha()))
