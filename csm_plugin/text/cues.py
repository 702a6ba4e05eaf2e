"""Marks for the machine and stage directions: control tokens, speakers, sounds and moods that are not to be read."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"<\|(?:im_start|start_header_id|start)\|>\s?(?:system|user|assistant|tool|model)?(?:<\|end_header_id\|>)?"
    r"|<\|[^<>|\n]{1,40}\|>|<start_of_turn>(?:\s?(?:user|model))?|<end_of_turn>|<<?/?(?:SYS|INST)>>?|\[/?INST\]"
    r"|</?(?:s|pad|unk|eos|bos|mask|sep|cls|end_of_text)>|<0x[0-9A-Fa-f]{2}>|\[(?:PAD|UNK|CLS|SEP|MASK|BOS|EOS)\]"
    r"|◁/?think▷"
)
_SPEAKER = re.compile(r"\[(?:S|spk_?|speaker[ _]?)[0-9]{1,3}\]:?", re.IGNORECASE)
_PAUSE = re.compile(
    r"\[(?:(?:long|short|brief)[ _])?(?:pause|break|silence|wait|beat)(?:\s?[:= ]\s?[0-9]{0,5}(?:\.[0-9]{1,3})?\s?"
    r"(?:ms|s|sec|seconds?)?)?\]",
    re.IGNORECASE,
)
_SOUND = (
    r"laugh(?:s|ing|ed|ter)?|sigh(?:s|ing|ed)?|chuckl(?:e|es|ing)|giggl(?:e|es|ing)|gasp(?:s|ing)?|cough(?:s|ing)?|"
    r"sniff(?:s|ing|les?)?|groan(?:s|ing)?|moan(?:s|ing)?|yawn(?:s|ing)?|whisper(?:s|ing|ed)?|exhal(?:e|es|ing)|"
    r"inhal(?:e|es|ing)|breath(?:es?|ing)|sob(?:s|bing)?|cr(?:y|ies|ying)|scoff(?:s|ing)?|hum(?:s|ming)|"
    r"snort(?:s|ing)?|"
    r"clap(?:s|ping)?|applau(?:se|ds)|sneez(?:e|es|ing)|mumbl(?:e|es|ing)|smil(?:es|ing)|nod(?:s|ding)|wink(?:s|ing)?|"
    r"shrug(?:s|ging)?|grin(?:s|ning)?|clear(?:s|ing) (?:her|his|their|my )?throat|clear throat|pauses|pausing|"
    r"snicker(?:s|ing)?|gulp(?:s|ing)?|whistl(?:es|ing)|growl(?:s|ing)?|shout(?:s|ing)|scream(?:s|ing)?|sings|singing|"
    r"throat clearing|lip smack|deep breath"
)
_MOOD = (
    r"happy|happily|sad|sadly|angry|angrily|excited|excitedly|curious|sarcastic|sarcastically|calm|calmly|surprised|"
    r"cheerful|cheerfully|serious|seriously|nervous|nervously|scared|fearful|disgusted|neutral|warm|warmly|playful|"
    r"playfully|mischievously|tired|softly|quietly|loudly|dramatic|dramatically|music|applause|crying|deadpan"
)
_MANNER = r"(?:\s[a-z]{2,14}){0,3}"
_BRACKETED = re.compile(
    rf"\[(?:(?:{_SOUND}){_MANNER}|(?:[a-z]{{2,10}}ly\s)?(?:{_SOUND}|{_MOOD}))\](?!\()", re.IGNORECASE
)
_PARENTHESISED = re.compile(
    rf"\((?:(?:{_SOUND})(?:,? (?:and |then )?[a-z]{{2,12}}(?:ly|s))?|(?:[a-z]{{2,10}}ly\s)(?:{_SOUND})|pause|beat)\)",
    re.IGNORECASE,
)
_STARRED = re.compile(
    rf"(?<![\w*])\*(?:(?:{_SOUND})(?: [a-z]{{2,12}}(?:ly|s))?|(?:[a-z]{{2,10}}ly\s)(?:{_SOUND}))\*(?![\w*])",
    re.IGNORECASE,
)


def drop_cues(text: str) -> str:
    """Take out what is meant for a model, a player or an actor. Linear in the length."""
    if "<" in text or "[" in text or "◁" in text:
        text = _SPEAKER.sub(" ", _TOKEN.sub(" ", text))
        text = _BRACKETED.sub(" ", _PAUSE.sub(" ", text))
    text = _PARENTHESISED.sub(" ", text)
    return _STARRED.sub(" ", text)
