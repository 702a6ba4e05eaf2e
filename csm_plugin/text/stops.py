"""Whether a full stop, question mark or exclamation mark ends a sentence, as far as can be told yet."""

from __future__ import annotations

import enum
import re

from csm_plugin.text.abbreviations import CLOSING, DOTTED_UNITS, INWARD, NUMBERED, STARTERS, TITLES, is_denial
from csm_plugin.text.times import TIME_GOES_ON

_LOOK_BACK = 32
_LONGEST_WORD = 20
_CLOSERS = "\"'”’)]}»*_~`"
_ITEM_NUMBER = re.compile(r"\s*[0-9]{1,3}[.)]?")
_LAST_WORD = re.compile(r"[^\W_](?:[^\s\"“‘(\[*_]{0,30}[^\W_])?$")
_INITIALISM = re.compile(r"[^\W\d_]{1,2}(?:\.[^\W\d_]{1,2})+")
_LABEL = re.compile(
    r"\s*(?:[-*+•]\s|[0-9]{1,3}[.)]\s|#{1,6}\s)?[*_]{0,3}[0-9]{1,2}(?::[0-9]{2})?\s?[ap]\.m\.[*_]{0,3}", re.I
)
_STREET = re.compile(r"(?:[A-Z][a-z]+|[0-9](?:st|nd|rd|th))\s(?:St|Dr)$")
_COUNTED_AHEAD = re.compile(r"\s[0-9][0-9,]*\s(?:(?:more|other)\s)?(?!(?:more|other)\s)[a-z]+[^a-z]")


class Verdict(enum.Enum):
    """What is known of a place in a text that is still being written."""

    CUT = enum.auto()
    GO_ON = enum.auto()
    WAIT = enum.auto()


def judge_stop(window: str, mark: re.Match[str], after: str) -> Verdict:
    """Judge a stop that white space follows.

    Args:
        window: the text from the beginning of the sentence.
        mark: the stop, with the quotes, brackets and emphasis that close after it.
        after: as much of what follows as is looked at, at least the white space.
    """
    stops, following = mark.group().rstrip(_CLOSERS), after.lstrip()[:1]
    closed = stops != mark.group()
    if stops != ".":
        if closed or "…" in stops or stops.endswith(".."):
            return unless(following, following.islower())
        return Verdict.CUT
    line = window[window.rfind("\n", 0, mark.start()) + 1 : mark.end()]
    if _ITEM_NUMBER.fullmatch(line) or _LABEL.fullmatch(line):
        return Verdict.GO_ON
    found = _LAST_WORD.search(window, max(0, mark.start() - _LOOK_BACK), mark.start())
    return _judge_word(found.group() if found else "", window[: mark.start()], closed, after)


def unless(following: str, exception: bool) -> Verdict:
    """Cut unless there is an exception; wait while nothing follows."""
    if not following:
        return Verdict.WAIT
    return Verdict.GO_ON if exception else Verdict.CUT


def _judge_word(word: str, before: str, closed: bool, after: str) -> Verdict:
    following = after.lstrip()[:1]
    if word in ("St", "Dr") and _STREET.search(before[-_LOOK_BACK:]):
        return _cut_before(STARTERS, after)
    if word in TITLES or word.lower() in INWARD or (len(word) == 1 and word.isalpha() and word not in "Ip"):
        return Verdict.GO_ON
    if word.lower() in ("a.m", "p.m"):
        return _judge_half_day(after)
    if _INITIALISM.fullmatch(word):
        return _cut_before(STARTERS, after)
    if word in NUMBERED:
        return _judge_numbered(word, before, after)
    if word in DOTTED_UNITS and re.search(r"[0-9]\s?[a-z]+$", before[-12:]):
        return unless(following, following.islower() or following.isdigit())
    if closed or word in CLOSING or word[-1:].isdigit() or "." in word:
        return unless(following, following.islower())
    return Verdict.CUT


def _judge_half_day(after: str) -> Verdict:
    word, complete = _next_word(after)
    if not complete and any(each.startswith(word) for each in TIME_GOES_ON):
        return Verdict.WAIT
    if not word[:1].isupper():
        following = after.lstrip()[:1]
        return unless(following, following.islower() or following in "-–—(")
    return Verdict.GO_ON if word in TIME_GOES_ON else Verdict.CUT


def _judge_numbered(word: str, before: str, after: str) -> Verdict:
    following = after.lstrip()[:1]
    if word in ("No", "no") and following.isdigit():
        if not _COUNTED_AHEAD.match(after) and len(after) < _LOOK_BACK:
            return Verdict.WAIT
        return Verdict.CUT if is_denial(before[-24:], after) else Verdict.GO_ON
    return unless(following, following.isdigit() or following == "#")


def _cut_before(words: frozenset[str], after: str) -> Verdict:
    word, complete = _next_word(after)
    if not complete and any(each.startswith(word) for each in words):
        return Verdict.WAIT
    return Verdict.CUT if word in words else Verdict.GO_ON


def _next_word(after: str) -> tuple[str, bool]:
    """The word that follows, and whether all of it is known."""
    rest = after.lstrip(' \n"“‘(*_')
    word = re.match(r"[A-Za-z'’]*", rest)
    found = word.group() if word else ""
    return found.replace("’", "'"), len(found) < len(rest) or len(after) >= _LOOK_BACK
