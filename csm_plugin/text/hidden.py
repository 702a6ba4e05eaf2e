"""What a model writes and nobody should hear: its thinking, its tool calls, and fenced code.

It may be longer than any piece, so it is found while the text streams in, before sentences are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from csm_plugin.errors import SettingsError

CodeReading = Literal["skip", "announce", "read"]
"""What is done with fenced code: nothing is said, or that it is there, or the code itself."""

ANNOUNCEMENT = "There is some code here."

_NAMES = (
    "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|tool_call|tool_calls|function_calls|script|style"
)
_INFO = r"[^`~\n]{0,80}"
_BEGIN = re.compile(rf"<({_NAMES})(?:\s[^<>]{{0,60}})?>|^[ ]{{0,3}}(`{{3,20}}|~{{3,4}}){_INFO}(?:\n|\Z)", re.I | re.M)
_BEGUN = re.compile(
    rf"<(?:[a-z_]{{0,14}}|(?:{_NAMES})\s[^<>]{{0,60}})\Z|^[ ]{{0,3}}(?:[`~]{{0,2}}|(?:`{{3,20}}|~{{3,4}}){_INFO})\Z",
    re.I | re.M,
)
_FENCE_BEGUN = re.compile(r"^[ ]{0,3}[`~]{0,40}[ \t]{0,20}\Z", re.M)
_LONGEST_BEGINNING = 160
_CLOSING_BEGUN = re.compile(r"<(?:/[a-z_]{0,14}\s?)?\Z", re.I)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: as it was written, and what is left of it to be spoken."""

    written: str
    spoken: str


class HiddenText:
    """Takes text in as it is written and tells what of it may be heard. For one thread.

    Where something hidden stood, a paragraph ends. What never closes hides the rest of its text, and nothing of the
    next. Holds back at most what may be the beginning of a tag or a fence.

    Args:
        code: what is done with fenced code.

    Raises:
        SettingsError: `code` is none of those.
    """

    def __init__(self, code: CodeReading = "skip") -> None:
        if code not in get_args(CodeReading):
            raise SettingsError(f"code is {code!r}; it must be one of {', '.join(get_args(CodeReading))}")
        self._code = code
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next text begins."""
        self._held = ""
        self._line_begins = True
        self._closing: re.Pattern[str] | None = None
        self._closing_begun = _CLOSING_BEGUN

    def feed(self, delta: str) -> list[Span]:
        """Add text; give the parts of which it is certain. Joined, what was written is the text."""
        self._held += delta
        return self._take(final=False)

    def flush(self) -> list[Span]:
        """The text is complete: give what is left, and be ready for the next one."""
        spans = self._take(final=True)
        self.reset()
        return spans

    def _take(self, *, final: bool) -> list[Span]:
        spans: list[Span] = []
        at = 0
        while at < len(self._held):
            end = self._show(spans, at, final) if self._closing is None else self._hide(spans, at, final)
            if end is None:
                break
            at = end
        done = sum(len(span.written) for span in spans)
        if done:
            self._line_begins = self._held[done - 1] == "\n"
        self._held = self._held[done:]
        return spans

    def _show(self, spans: list[Span], at: int, final: bool) -> int | None:
        """Pass on what comes before the next thing to hide; where that has begun, or None if there is none."""
        begin = self._find(_BEGIN, at, final)
        begun = None if final else self._find(_BEGUN, max(at, len(self._held) - _LONGEST_BEGINNING), final)
        if begin is None or (begun is not None and begun.start() < begin.start()):
            self._move(spans, at, len(self._held) if begun is None else begun.start())
            return None
        name, fence = begin.groups()
        self._move(spans, at, begin.start())
        if fence:
            self._closing = re.compile(rf"^[ ]{{0,3}}{fence[0]}{{{len(fence)},40}}[ \t]{{0,20}}\n", re.M)
            self._closing_begun = _FENCE_BEGUN
        else:
            self._closing, self._closing_begun = re.compile(rf"</{name}\s?>", re.I), _CLOSING_BEGUN
        announced = f"\n\n{ANNOUNCEMENT}\n\n" if fence and self._code == "announce" else "\n\n"
        self._move(spans, begin.start(), begin.end(), announced)
        return begin.end()

    def _hide(self, spans: list[Span], at: int, final: bool) -> int | None:
        """Drop up to the end of what is hidden; where that is, or None if it is not there."""
        closing = self._find(self._closing, at, final) if self._closing else None
        if closing is None:
            tail = max(at, len(self._held) - _LONGEST_BEGINNING)
            begun = None if final else self._find(self._closing_begun, tail, final)
            self._move(spans, at, len(self._held) if begun is None else begun.start(), "")
            return None
        self._closing = None
        self._move(spans, at, closing.end(), "\n\n")
        return closing.end()

    def _find(self, pattern: re.Pattern[str], at: int, final: bool) -> re.Match[str] | None:
        found = pattern.search(self._held, at)
        while found is not None and not self._counts(found, pattern, final):
            found = pattern.search(self._held, found.start() + 1)
        return found

    def _counts(self, found: re.Match[str], pattern: re.Pattern[str], final: bool) -> bool:
        """Whether what looks like a tag or a fence is one: a fence begins a line, and its line is complete."""
        if found.group().startswith("<"):
            return True
        if (self._code == "read" and self._closing is None) or (found.start() == 0 and not self._line_begins):
            return False
        return pattern is not _BEGIN or final or found.group().endswith("\n")

    def _move(self, spans: list[Span], at: int, end: int, spoken: str | None = None) -> None:
        if end > at:
            written = self._held[at:end]
            spans.append(Span(written, written if spoken is None else spoken))


def shown(text: str, code: CodeReading = "skip") -> str:
    """What may be heard of a whole text. Linear in the length."""
    if "<" not in text and "```" not in text and "~~~" not in text:
        return text
    hidden = HiddenText(code)
    return "".join(span.spoken for span in [*hidden.feed(text), *hidden.flush()])
