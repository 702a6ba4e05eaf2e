"""Roman numerals: rulers have ordinals, everything else that is counted has plain numbers."""

from __future__ import annotations

import re

from csm_plugin.text.numerals import say_value

_UP_TO_89 = r"(?=[IVXL])(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_PARTS = (
    "Chapter|Part|Act|Scene|Volume|Vol\\.|Book|Section|Sec\\.|Article|Title|Phase|Stage|War|Super Bowl|Appendix|"
    "Episode|"
    "Amendment|Canto|Lesson|Unit|Round|Apollo|Rocky|Factor|Vatican"
)
_KINDS = "Type|Class|Level|Grade|Figure|Table|Group|Division|Category|Tier|Step|Schedule|Mark|Season|Symphony|Quartet"
_COUNTED = re.compile(
    rf"\b((?:(?i:{_PARTS})|(?i:{_KINDS})(?=,?\s[A-Za-z]{{2}})),?)\s(?!I\b)({_UP_TO_89}|"
    rf"(?=[ivx]{{2}})x{{0,3}}(?:ix|iv|v?i{{0,3}}))"
    r"(?![\w'’])"
)
_OWN_VERB = (
    "a|am|was|have|had|do|did|would|could|should|can|will|need|needed|like|liked|love|loved|want|wanted|saw|took|know|"
    "knew|think|thought|read|wrote|mean|meant|use|used|see|get|got|just|really|never|always|still|don|didn"
)
_FIRST = re.compile(rf"\b({_PARTS}|{_KINDS}|CHAPTER|PART|ACT|WAR)\sI(?!['’\w]|\s(?:{_OWN_VERB})\b)|\b(World War)\sI\b")
_RULERS = (
    "Henry|Louis|Edward|George|Elizabeth|Charles|James|William|Richard|Philip|Napoleon|Nicholas|Catherine|Mary|Peter|"
    "Alexander|Frederick|Wilhelm|Benedict|Pius|Leo|Paul|Gregory|Clement|Innocent|Urban|Ramses|Ramesses|Ptolemy|Ivan|"
    "Gustav|Christian|Carl|Margrethe|Harald|Felipe|Carlos|Victoria|Francis|Ferdinand|Otto|Constantine|Darius|Xerxes|"
    "Thutmose|Amenhotep|Mehmed|Selim|Murad|Suleiman|Albert|Leopold|Haakon|Olav|Joseph|Maximilian|Robert|David|Kenneth|"
    "Alfonso|Pedro|Umberto|Boniface|Sixtus|Julius|Cleopatra|Franz|Rudolf|Abdullah"
)
_RULER = re.compile(rf"\b((?i:{_RULERS}))\s(?!I\b|[VX]\.\s?[A-Z])((?=[IVX])X{{0,3}}(?:IX|IV|V?I{{0,3}}))(?!\w)")
_FIRST_RULER = re.compile(rf"\b({_RULERS})\sI(?=['’]s|\s(?:of|ruled|reigned|became|died)\b|[,.;:)]|$)")
_CROWNED = re.compile(
    r"\b((?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Sultan|Saint)\s[A-Z][a-z]+)\sI(?!['’\w])"
)
_NAMED = re.compile(
    r"\b(?!(?:The|An|And|In|Of|On|My|For|With|This|That|Is|By|Or|To|At|Her|His)\b)([A-Z][a-z]+)\s"
    r"(II|III|VI|VII|VIII|IX|XI|XII|XIII|XIV|XV|XVI)(?![\w'’])"
)
_ALONE = re.compile(
    r"(\b[Tt]he\s)?(?<![\w.'])(II|III|VII|VIII|XII|XIII|XIV|XVI|XVII|XVIII|XIX|XXI|XXII|XXIII|XXIV)(?![\w']|"
    r"\.[A-Za-z])(?=(\s[a-z])?)"
)
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}


def say_roman_numerals(text: str) -> str:
    """Put Roman numerals into words wherever it is clear that they are some. Linear in the length."""
    text = _COUNTED.sub(_say_after, text)
    text = _FIRST.sub(lambda match: f"{match.group(1) or match.group(2)} one", text)
    text = _FIRST_RULER.sub(r"\1 the First", text)
    text = _CROWNED.sub(r"\1 the First", text)
    text = _RULER.sub(lambda match: f"{match.group(1)} the {_say(match.group(2), 'ordinal').title()}", text)
    text = _NAMED.sub(_say_after, text)
    return _ALONE.sub(_say_alone, text)


def _say_alone(match: re.Match[str]) -> str:
    article, numeral, noun = match.groups()
    return f"{article or ''}{_say(numeral, 'ordinal' if article and noun else 'cardinal')}"


def _say_after(match: re.Match[str]) -> str:
    return f"{match.group(1)} {_say(match.group(2))}"


def _say(numeral: str, kind: str = "cardinal") -> str:
    values = [_VALUES[sign] for sign in numeral.upper()]
    following = [*values[1:], 0]
    return say_value(sum(-one if one < after else one for one, after in zip(values, following, strict=True)), kind)
