"""Cutting streamed text into sentences that can be spoken while the rest is still being written.

Where the text is cut depends on the text alone, never on how it arrived: a cut is made when nothing that may follow
could change it. At most `MAX_PIECE_CHARACTERS` and a short look-ahead are held back. The rules are for English and are
our own because the batch splitters at hand cannot say whether more text would change their mind.
"""

from __future__ import annotations

import re

from csm_plugin.text.breaths import breath
from csm_plugin.text.hidden import CodeReading, HiddenText, Span
from csm_plugin.text.stops import Verdict, judge_stop, unless

MAX_PIECE_CHARACTERS = 200
"""Characters after which a sentence is cut where it can be."""

FIRST_CLAUSE_CHARACTERS = 12
FIRST_CLAUSE_WORDS = 3
_LOOK_AHEAD = 32
_LONGEST_WINDOW = MAX_PIECE_CHARACTERS + _LOOK_AHEAD

_CLOSERS = r"[\"'”’)\]}»*_~`]{0,8}"
_CANDIDATE = re.compile(rf"[.!?…]+{_CLOSERS}|[。！？]+{_CLOSERS}|\n+|[,;:]{_CLOSERS}|[—–]+|(?<=\s)-{{1,3}}(?=\s)")
_MARKER = re.compile(r"\s*(?:[-*+•](?=\s)|#{1,6}(?=\s)|[0-9]{1,3}[.)](?=\s)|>|\||```|~~~)")
_MARKER_BEGUN = re.compile(r"[-*+•]|#{1,6}|[0-9]{1,3}[.)]?|`{1,2}|~{1,2}")
_SPACE = re.compile(r"\s+")
_OPEN_TAG = re.compile(
    r"</?[A-Za-z][A-Za-z0-9-]{0,20}(?:\s[\w:@.-]{1,40}=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"'=]+))*"
    r"(?:\s[\w:@.-]{0,40}(?:=(?:\"[^\"<>]*|'[^'<>]*|[^\s<>\"'=]*)?)?)?"
)
_LONGEST_LABEL = 160
_LONGEST_CODE = 60
_MONEY = "$€£"


class SentenceSplitter:
    """Takes text in as it is written and gives out sentences as soon as they are certain.

    The first clause of a reply goes out early, at a comma, semicolon, colon or dash, because its length is the
    listener's wait. No I/O and no clock. For one thread.

    What nobody should hear (a model's thinking, tool calls, fenced code) is left out, and a piece ends there.

    Args:
        early: whether a reply's first clause goes out before its sentence is complete.
        code: what is done with fenced code.

    Raises:
        SettingsError: `code` is no `CodeReading`.
    """

    def __init__(self, *, early: bool = True, code: CodeReading = "skip") -> None:
        self._early = early
        self._hidden = HiddenText(code)
        self._text = ""
        self._emitted = 0

    def feed(self, delta: str) -> list[str]:
        """Add text; give the pieces that it completes, without the white space around them.

        Joined, all pieces are the text but for white space and what is hidden. Some may hold nothing speakable
        (`is_speakable` tells).
        """
        return self._add(self._hidden.feed(delta))

    def flush(self) -> list[str]:
        """The reply is complete: give what is left, and be ready for the next one."""
        pieces = self._add(self._hidden.flush()) + self._take(final=True)
        self.reset()
        return pieces

    def reset(self) -> None:
        """Forget what was held back, and be ready for the next reply."""
        self._hidden.reset()
        self._text = ""
        self._emitted = 0

    def _add(self, spans: list[Span]) -> list[str]:
        self._text = _SPACE.sub(_squeeze, self._text + "".join(span.spoken for span in spans))
        return self._take(final=False)

    def _take(self, *, final: bool) -> list[str]:
        pieces: list[str] = []
        text, start = self._text, 0
        while True:
            start += 1 if text[start : start + 1].isspace() else 0
            start += 1 if text[start : start + 1].isspace() else 0
            window = text[start : start + _LONGEST_WINDOW]
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


def split_sentences(text: str, *, code: CodeReading = "skip") -> list[str]:
    """Cut a whole text into sentences of at most `MAX_PIECE_CHARACTERS` each; linear in its length.

    Args:
        code: what is done with fenced code.
    """
    splitter = SentenceSplitter(early=False, code=code)
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
        if verdict is Verdict.CUT:
            return mark.end()
        if verdict is Verdict.WAIT and not final:
            return 0
    if len(window) > MAX_PIECE_CHARACTERS:
        return breath(window, MAX_PIECE_CHARACTERS) if final or len(window) == _LONGEST_WINDOW else 0
    return len(window) if final else 0


def _judge(window: str, mark: re.Match[str], *, early: bool) -> Verdict:
    """Whether a piece ends with `mark`; WAIT if what follows could change that."""
    sign = mark.group()[0]
    if sign == "\n":
        return _judge_newline(window, mark)
    after = window[mark.end() : mark.end() + _LOOK_AHEAD]
    if not after:
        return Verdict.WAIT
    if sign in "。！？":
        return Verdict.CUT
    if _is_in_markup(window, mark.end()):
        return Verdict.GO_ON
    if sign in "—–-":
        return _judge_dash(window, mark, after) if early else Verdict.GO_ON
    if not after[0].isspace():
        return Verdict.GO_ON
    if sign in ",;:":
        if not early or _is_in_brackets(window, mark.start()) or not _is_clause(window[: mark.start()]):
            return Verdict.GO_ON
        following = after.lstrip()[:1]
        return unless(following, following.isdigit())
    return judge_stop(window, mark, after)


def _judge_newline(window: str, mark: re.Match[str]) -> Verdict:
    rest = window[mark.end() : mark.end() + _LOOK_AHEAD]
    if mark.group() == "\n\n":
        return Verdict.CUT
    if not rest:
        return Verdict.WAIT
    line = window[window.rfind("\n", 0, mark.start()) + 1 : mark.start()]
    if line.rstrip().endswith(":") or _MARKER.match(line) or _MARKER.match(rest):
        return Verdict.CUT
    return Verdict.WAIT if _MARKER_BEGUN.fullmatch(rest) else Verdict.GO_ON


def _judge_dash(window: str, mark: re.Match[str], after: str) -> Verdict:
    before, following = window[: mark.start()], after.lstrip()[:1]
    if _is_in_brackets(window, mark.start()) or not _is_clause(before):
        return Verdict.GO_ON
    if before.rstrip()[-1:].isdigit():
        return unless(following, following.isdigit() or following in _MONEY)
    return Verdict.CUT


def _is_in_markup(window: str, end: int) -> bool:
    """Whether a link's text, inline code or a tag that has begun is still open."""
    line = window[window.rfind("\n", 0, end) + 1 : end]
    if line.count("`") % 2 and len(line) - line.rfind("`") <= _LONGEST_CODE:
        return True
    opened = max(window.rfind("[", 0, end), window.rfind("](", 0, end))
    if opened >= 0 and not (window.find("]", opened, end) >= 0 and window[opened] == "["):
        is_open = window.find(")", opened, end) < 0 if window[opened] == "]" else True
        if is_open and end - opened <= _LONGEST_LABEL:
            return True
    tag = window.rfind("<", 0, end)
    return tag >= 0 and bool(_OPEN_TAG.fullmatch(window, tag, end))


def _is_in_brackets(window: str, end: int) -> bool:
    return any(window.rfind(left, 0, end) > window.rfind(right, 0, end) for left, right in ("()", "[]"))


def _is_clause(text: str) -> bool:
    words = sum(any(letter.isalnum() for letter in word) for word in text.split())
    return words >= FIRST_CLAUSE_WORDS and len(text.strip()) >= FIRST_CLAUSE_CHARACTERS
