"""Sentences to speak: everyday templates, documents on disk, numbers, short replies and random words.

All of it is repeatable: the same seed and the same documents give the same sentences.
"""

import gzip
import random
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.text import normalize
from training.corpus.phrases import REPLIES, SLOTS, TEMPLATES

# share of each kind of sentence
MIX = {"template": 0.36, "document": 0.38, "number": 0.05, "reply": 0.06, "random": 0.15}

_DOCUMENTS = (
    (Path("/usr/share/doc"), (".txt", ".md", ".rst", ".html", ".gz", "README", "NEWS", "TODO")),
    (Path("/usr/share/vim"), (".txt",)),
    (Path("/usr/share/perl"), (".pod", ".pm")),
    (Path(sysconfig.get_path("stdlib")), (".py", ".txt", ".rst", ".md")),
)
_LARGEST_DOCUMENT_BYTES = 2_000_000
_MOST_SENTENCES = 60_000
_FEWEST_WORDS, _MOST_WORDS = 3, 16
_SENTENCE = re.compile(r"(?<![\w.,;:])([A-Z][A-Za-z',]*(?: [A-Za-z',]+){2,15}[.?!])(?=\s|$)")
_COMMON = frozenset(
    "the a an of to in is are was be it this that and or for with on as by at from not you we they he she if can will "
    "have has do does when which all one but there your their its than so no any been".split()
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_UNITS = "one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()


def sentences(seed: int, documents: Sequence[str]) -> Iterator[str]:
    """Endless sentences, mixed as `MIX` says, none of them held out.

    Args:
        seed: of the order and the filling of templates.
        documents: what `document_sentences` found; may be empty.

    Yields:
        ASCII sentences with letters, apostrophes, commas and a final `.`, `?` or `!`; numbers are words.
    """
    rng = random.Random(seed)
    vocabulary = sorted({word for text in documents for word in _words(text)})
    held_out = {_plain(normalize(text)) for text in HELD_OUT}
    kinds, shares = list(MIX), list(MIX.values())
    while True:
        kind = rng.choices(kinds, shares)[0]
        if kind == "template" or (kind in ("document", "random") and not documents):
            text = _filled(rng)
        elif kind == "document":
            text = rng.choice(documents)
        elif kind == "number":
            text = _numbers(rng)
        elif kind == "reply":
            text = " ".join(rng.choices(REPLIES, k=rng.choice((1, 1, 1, 2))))
        else:
            text = _random_words(rng, vocabulary)
        if _plain(text) not in held_out:
            yield text


def document_sentences() -> list[str]:
    """English sentences found in the documents of this machine, filtered hard, in a fixed order."""
    found: dict[str, None] = {}
    for root, endings in _DOCUMENTS:
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.name.endswith(endings) and path.is_file():
                found.update(dict.fromkeys(_SENTENCE.findall(_read(path))))
    lower = Counter(word for text in found for word in re.findall(r"[A-Za-z']+", text)[1:] if word.islower())
    known = {word for word, count in lower.items() if count >= 4}
    kept = [text for text in found if _speakable(text, known)]
    random.Random(0).shuffle(kept)
    return kept[:_MOST_SENTENCES]


def _read(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile):
        return ""
    text = raw[:_LARGEST_DOCUMENT_BYTES].decode("utf-8", "ignore")
    return re.sub(r"[ \t]*\n[ \t#*]*(?=\S)", " ", text)


def _speakable(text: str, known: set[str]) -> bool:
    words = _words(text)
    return (
        _FEWEST_WORDS <= len(words) <= _MOST_WORDS
        and all(word in known and (len(word) > 1 or word in "ai") and len(word) <= 14 for word in words)
        and sum(word in _COMMON for word in words) >= 0.3 * len(words)
        and len(set(words)) >= 0.7 * len(words)
        and not any(character.isupper() for character in text[1:].replace(" I ", " i "))
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _plain(text: str) -> str:
    return " ".join(_words(text))


def _filled(rng: random.Random) -> str:
    template = rng.choice(TEMPLATES)
    text = re.sub(r"\{(\w+)\}", lambda slot: rng.choice(SLOTS[slot[1]]), template)
    return text[0].upper() + text[1:]


def _numbers(rng: random.Random) -> str:
    def number() -> str:
        pick = rng.random()
        small = rng.choice((rng.choice(_UNITS), rng.choice(_TEENS), f"{rng.choice(_TENS)} {rng.choice(_UNITS)}"))
        if pick < 0.6:
            return small
        if pick < 0.85:
            return f"{rng.choice(_UNITS)} hundred and {small}"
        return f"{small} thousand {rng.choice(_UNITS)} hundred"

    return ", ".join(number() for _ in range(rng.randint(1, 4))).capitalize() + "."


def _random_words(rng: random.Random, vocabulary: list[str]) -> str:
    chosen = [rng.choice(vocabulary) for _ in range(rng.randint(3, 9))]
    if len(chosen) > 4:
        chosen[2] += ","
    return " ".join(chosen).capitalize() + rng.choice("...?")
