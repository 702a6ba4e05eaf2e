"""The text of csm-tiny: characters, lower case, with the special tokens of CSM."""

import re
import unicodedata

BEGIN = "<|begin_of_text|>"
END = "<|end_of_text|>"
AUDIO = "<|AUDIO|>"
AUDIO_EOS = "<|audio_eos|>"
PAD = "<|pad|>"
SPECIAL: tuple[str, ...] = (PAD, BEGIN, END, AUDIO, AUDIO_EOS)
CHARACTERS = " abcdefghijklmnopqrstuvwxyz'.,?!-:;0123456789[]"
VOCABULARY: tuple[str, ...] = SPECIAL + tuple(CHARACTERS)
NUMBER = {token: index for index, token in enumerate(VOCABULARY)}

# what other writing becomes, in this order; the exported tokenizer holds the same rules
REPLACED: tuple[tuple[str, str], ...] = (
    ("[\u2018\u2019\u02bc`\u00b4]", "'"),
    ("[\u2010-\u2015\u2212]", "-"),
    ("\u2026", "."),
    ("&", " and "),
    ("\\+", " plus "),
    ("%", " percent "),
    ("@", " at "),
    (r"[\s_/\\]+", " "),
    (r"[^ a-z'.,?!\-:;0-9\[\]]", ""),
)


def normalised(text: str) -> str:
    """Any text in the characters that have tokens."""
    plain = unicodedata.normalize("NFKD", text).lower()
    for pattern, replacement in REPLACED:
        plain = re.sub(pattern, replacement, plain)
    return plain


def encode(text: str, speaker: int) -> list[int]:
    """A segment's text as token numbers: `<begin>[speaker]text<end>`."""
    return [NUMBER[BEGIN], *(NUMBER[character] for character in normalised(f"[{speaker}]{text}")), NUMBER[END]]
