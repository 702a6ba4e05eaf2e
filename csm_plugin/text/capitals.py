"""Words in capitals: shouting is lower-cased, acronyms that are said letter by letter are spelled."""

from __future__ import annotations

import re

_CAPITALS = re.compile(r"(?<![\w.'])[A-Z]{2,40}(?![\w']|\.[A-Za-z])")
_LONGEST_ACRONYM = 4
_SHOUTED_WORDS = 3


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_KEPT = _words("AM PM OK NASA NATO RAM ROM SIM PIN GIF LAN WAN ASAP LASER AIDS UNESCO UNICEF NASDAQ COVID")
_SPELLED = _words("API APIS AI USA UK EU UN IT ID TV PC CEO CTO CFO FAQ UI UX IP URL CPU GPU AWS ETA IOS DIY")
_COMMON = _words(
    "A I AND ARE AS AT BAD BE BEST BIG BUT BY CAN DID DO EVEN EVER FOR FROM FUN GET GO GOOD GREAT HAD HAS HAVE HE "
    "HER HERE HIM HIS HOW IF IN IS ITS JUST KEEP LET LIKE LONG MANY MAY ME MORE MOST MUCH MUST MY NEED NEVER NEW NO "
    "NOT NOW OF OFF OH ON ONE ONLY OR OUR OUT OVER OWN SAID SAY SEE SHE SO SOME STOP TAKE THAT THE THEM THEN THEY THIS "
    "TO TOO TWO UP USE VERY WAIT WAS WAY WE WELL WERE WHAT WHEN WHO WHY WILL WITH YES YET YOU YOUR ALL ANY ALSO"
)
_WORD_AS_NUMBER = {"II": "two", "III": "three"}


def lower_shouting(text: str) -> str:
    """Lower-case what is only shouted and spell what is said letter by letter. Linear in the length.

    Text without any lower-case letter is shouted as a whole. Elsewhere a word in capitals is taken as shouted if it is
    longer than an acronym or a common word, as letters if it cannot be pronounced, and as it stands otherwise.
    """
    if text.upper() == text and len(re.findall(r"[A-Z]{2,}", text)) >= _SHOUTED_WORDS:
        lowered = re.sub(r"\bi\b", "I", text.lower())
        return lowered[:1].upper() + lowered[1:]
    return _CAPITALS.sub(_say_capitals, text)


def _say_capitals(match: re.Match[str]) -> str:
    word = match.group()
    if word in _WORD_AS_NUMBER:
        return _WORD_AS_NUMBER[word]
    if word in _KEPT:
        return word
    if word in _COMMON:
        return word.lower()
    if word in _SPELLED or len(word) < _LONGEST_ACRONYM:
        return " ".join(word)
    vowelless = not set(word) & set("AEIOUY")
    if len(word) <= _LONGEST_ACRONYM:
        return " ".join(word) if vowelless else word
    return " ".join(word) if vowelless and len(word) <= _LONGEST_ACRONYM + 1 else word.lower()
