"""Cutting streamed text into sentences that can be spoken while the rest is still being written.

Where the text is cut depends on the text alone, never on how it arrived: a cut is made when nothing that may follow
could change it. At most `MAX_PIECE_CHARACTERS` and a short look-ahead are held back. The rules are for English and are
our own because the batch splitters at hand cannot say whether more text would change their mind.
"""

from __future__ import annotations

import enum
import re

from csm_plugin.text.abbreviations import CLOSING, INWARD, NUMBERED, TITLES

MAX_PIECE_CHARACTERS = 200
"""Characters after which a sentence is cut where it can be."""

FIRST_CLAUSE_CHARACTERS = 12
FIRST_CLAUSE_WORDS = 3
_LOOK_AHEAD = 32

_CLOSERS = r"[\"'”’)\]}»*_~`]{0,8}"
_CANDIDATE = re.compile(rf"[.!?…]+{_CLOSERS}|[。！？]+{_CLOSERS}|\n+|[,;:]{_CLOSERS}|[—–]+|(?<=\s)-{{1,3}}(?=\s)")
_MARKER = re.compile(r"\s*(?:[-*+•](?=\s)|#{1,6}(?=\s)|[0-9]{1,3}[.)](?=\s)|>|\||```|~~~)")
_MARKER_BEGUN = re.compile(r"[-*+•]|#{1,6}|[0-9]{1,3}[.)]?|`{1,2}|~{1,2}")
_ITEM_NUMBER = re.compile(r"\s*[0-9]{1,3}[.)]?")
_LAST_WORD = re.compile(r"[^\W_](?:[^\s\"“‘(\[*_]{0,30}[^\W_])?$")
_INITIALISM = re.compile(r"[^\W\d_]{1,2}(?:\.[^\W\d_]{1,2})+")
_SPACE = re.compile(r"\s+")


class _Verdict(enum.Enum):
    CUT = enum.auto()
    GO_ON = enum.auto()
    WAIT = enum.auto()


class SentenceSplitter:
    """Takes text in as it is written and gives out sentences as soon as they are certain.

    The first clause of a reply goes out early, at a comma, semicolon, colon or dash, because its length is the
    listener's wait. No I/O and no clock. For one thread.

    Args:
        early: whether a reply's first clause goes out before its sentence is complete.
    """

    def __init__(self, *, early: bool = True) -> None:
        self._early = early
        self._text = ""
        self._emitted = 0

    def feed(self, delta: str) -> list[str]:
        """Add text; give the pieces that it completes, without the white space around them.

        Joined, all pieces are the text but for white space. Some may hold nothing speakable (`is_speakable` tells).
        """
        self._text = _SPACE.sub(_squeeze, self._text + delta)
        return self._take(final=False)

    def flush(self) -> list[str]:
        """The reply is complete: give what is left, and be ready for the next one."""
        pieces = self._take(final=True)
        self.reset()
        return pieces

    def reset(self) -> None:
        """Forget what was held back, and be ready for the next reply."""
        self._text = ""
        self._emitted = 0

    def _take(self, *, final: bool) -> list[str]:
        pieces: list[str] = []
        text, start = self._text, 0
        while True:
            start += 1 if text[start : start + 1].isspace() else 0
            start += 1 if text[start : start + 1].isspace() else 0
            window = text[start : start + MAX_PIECE_CHARACTERS + _LOOK_AHEAD]
            at_end = start + len(window) == len(text)
            early = self._early and self._emitted < FIRST_CLAUSE_CHARACTERS
            cut = _next_cut(window, early=early, final=final and at_end)
            if not cut:
                break
            piece = window[:cut].strip()
            pieces.append(piece)
            self._emitted += len(piece)
            start += cut
        self._text = text[start:]
        return pieces


def split_sentences(text: str) -> list[str]:
    """Cut a whole text into sentences of at most `MAX_PIECE_CHARACTERS` each; linear in its length."""
    splitter = SentenceSplitter(early=False)
    return splitter.feed(text) + splitter.flush()


def _squeeze(space: re.Match[str]) -> str:
    newlines = space.group().count("\n")
    return "\n" * min(newlines, 2) or " "


def _next_cut(window: str, *, early: bool, final: bool) -> int:
    """Where the first piece of `window` ends; 0 if more text is needed to tell."""
    for mark in _CANDIDATE.finditer(window):
        if mark.end() > MAX_PIECE_CHARACTERS:
            break
        verdict = _judge(window, mark, early=early)
        if verdict is _Verdict.CUT:
            return mark.end()
        if verdict is _Verdict.WAIT and not final:
            return 0
    if len(window) > MAX_PIECE_CHARACTERS:
        return _forced_cut(window)
    return len(window) if final else 0


def _forced_cut(window: str) -> int:
    half = MAX_PIECE_CHARACTERS // 2
    for stop in reversed(list(re.finditer(r"[,;:—–)](?=\s)", window[: MAX_PIECE_CHARACTERS + 1]))):
        if half <= stop.end() <= MAX_PIECE_CHARACTERS:
            return stop.end()
    space = max(window.rfind(" ", 1, MAX_PIECE_CHARACTERS + 1), window.rfind("\n", 1, MAX_PIECE_CHARACTERS + 1))
    return space if space > 0 else MAX_PIECE_CHARACTERS


def _judge(window: str, mark: re.Match[str], *, early: bool) -> _Verdict:
    """Whether a piece ends with `mark`; WAIT if what follows could change that."""
    sign = mark.group()[0]
    if sign == "\n":
        return _judge_newline(window, mark)
    after = window[mark.end() : mark.end() + _LOOK_AHEAD]
    if not after:
        return _Verdict.WAIT
    if sign in "。！？":
        return _Verdict.CUT
    if sign in "—–-":
        return _judge_dash(window, mark, after) if early else _Verdict.GO_ON
    if not after[0].isspace():
        return _Verdict.GO_ON
    following = after.lstrip()[:1]
    if sign in ",;:":
        if not early or not _is_clause(window[: mark.start()]):
            return _Verdict.GO_ON
        return _unless(following, following.isdigit())
    return _judge_stop(window, mark, following)


def _judge_newline(window: str, mark: re.Match[str]) -> _Verdict:
    rest = window[mark.end() : mark.end() + _LOOK_AHEAD]
    if mark.group() == "\n\n":
        return _Verdict.CUT
    if not rest:
        return _Verdict.WAIT
    line = window[window.rfind("\n", 0, mark.start()) + 1 : mark.start()]
    if line.rstrip().endswith(":") or _MARKER.match(line) or _MARKER.match(rest):
        return _Verdict.CUT
    return _Verdict.WAIT if _MARKER_BEGUN.fullmatch(rest) else _Verdict.GO_ON


def _judge_dash(window: str, mark: re.Match[str], after: str) -> _Verdict:
    before = window[: mark.start()]
    if before[-1:].isdigit() and after[0].isdigit():
        return _Verdict.GO_ON
    return _Verdict.CUT if _is_clause(before) else _Verdict.GO_ON


def _judge_stop(window: str, mark: re.Match[str], following: str) -> _Verdict:
    """A full stop, question mark, exclamation mark or ellipsis, with white space after it."""
    stops = mark.group().rstrip("\"'”’)]}»*_~`")
    closed = stops != mark.group()
    if stops != ".":
        if closed or "…" in stops or stops.endswith(".."):
            return _unless(following, following.islower())
        return _Verdict.CUT
    line = window[window.rfind("\n", 0, mark.start()) + 1 : mark.start()]
    if _ITEM_NUMBER.fullmatch(line):
        return _Verdict.GO_ON
    found = _LAST_WORD.search(window, max(0, mark.start() - _LOOK_AHEAD), mark.start())
    word = found.group() if found else ""
    if word in TITLES or word.lower() in INWARD or (len(word) == 1 and word.isalpha() and word != "I"):
        return _Verdict.GO_ON
    if _INITIALISM.fullmatch(word) and word.lower() not in ("a.m", "p.m"):
        return _Verdict.GO_ON
    if word in NUMBERED:
        return _unless(following, following.isdigit() or following == "#")
    if closed or word in CLOSING or word[-1:].isdigit() or "." in word:
        return _unless(following, following.islower())
    return _Verdict.CUT


def _unless(following: str, exception: bool) -> _Verdict:
    if not following:
        return _Verdict.WAIT
    return _Verdict.GO_ON if exception else _Verdict.CUT


def _is_clause(text: str) -> bool:
    words = sum(any(letter.isalnum() for letter in word) for word in text.split())
    return words >= FIRST_CLAUSE_WORDS and len(text.strip()) >= FIRST_CLAUSE_CHARACTERS
