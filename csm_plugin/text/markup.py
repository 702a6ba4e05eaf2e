"""Taking markdown, HTML and addresses out of text; what remains is what a reader would read out.

Every pattern is linear: each scan stops at the next character that could begin the same pattern.
"""

from __future__ import annotations

import html
import re

_FENCE = re.compile(r"^\s*(?:```|~~~).*$")
_HEADING = re.compile(r"^\s*#{1,6}\s+")
_QUOTE = re.compile(r"^\s*(?:>\s?)+(?![0-9=])")
_BULLET = re.compile(r"^\s*[-*+•‣◦]\s+(?:\[[ xX]\]\s+)?")
_ITEM = re.compile(r"^\s*([0-9]{1,3})[.)]\s+")
_RULE_SIGNS = frozenset("-*_=|:+ \t")

_COMMENT = re.compile(r"<!--[^<>]*-->")
_ATTRIBUTE = r"\s+[\w:@.-]{1,40}\s?=\s?(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"'=]+)"
_TAG = re.compile(rf"</?[A-Za-z][A-Za-z0-9_:-]{{0,20}}(?:{_ATTRIBUTE})*\s?/?>")
_BLOCK_TAG = re.compile(
    r"<(?:/?(?:p|li|ul|ol|div|h[1-6]|tr|table|section|article|header|footer|blockquote|dt|dd|title|option)|br|hr)"
    rf"(?:{_ATTRIBUTE})*\s?/?>",
    re.IGNORECASE,
)
_CELL_TAG = re.compile(r"</t[dh]>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8}[0-9]{0,2});")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+)>")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\[\]]*(?:\([^()\[\]]*\)[^()\[\]]*)*\)|\[[^\[\]]*\])")
_FOOTNOTE = re.compile(r"\[\^?[0-9]{1,3}\]")
_URL = re.compile(r"(?:\bhttps?://|\bwww\.)([^\s<>\"'()\[\]]*)", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.+-])([\w.+-]{1,64})@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})")
_DOMAIN = re.compile(
    r"(?<![\w.-])([A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{1,63}){0,4})"
    r"\.(com|org|net|edu|gov|io|ai|dev|app|co)(?![\w-])((?:/[\w.~-]{1,64}){0,8})"
)
_ADDRESS_SIGNS = {".": " dot ", "/": " slash ", "-": " dash ", "_": " underscore ", "+": " plus "}
_LONGEST_PATH = 40


def strip_markup(text: str) -> str:
    """Drop markdown and HTML, keep what they wrap; speak addresses; end headings, items and paragraphs with a stop.

    Linear in the length of `text`.
    """
    text = _COMMENT.sub(" ", text)
    text = _AUTOLINK.sub(r"\1", text)
    if "<" in text:
        text = _TAG.sub(" ", _CELL_TAG.sub(", ", _BLOCK_TAG.sub("\n\n", text)))
    text = _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
    text = _LINK.sub(r"\1", text)
    text = _FOOTNOTE.sub("", text)
    text = _EMAIL.sub(_say_email, text)
    text = _URL.sub(_say_url, text)
    text = _DOMAIN.sub(_say_domain, text)
    return _join_lines(text.splitlines())


def _join_lines(lines: list[str]) -> str:
    """Make one line of many; a block (heading, item, table row, paragraph) that has no ending gets a full stop."""
    joined: list[str] = []
    last_is_block = False
    for line in lines:
        content, is_block = _strip_line(line)
        if not content:
            last_is_block = last_is_block or not line.strip()
            continue
        if joined and (is_block or last_is_block):
            joined[-1] = _with_stop(joined[-1])
        joined.append(content)
        last_is_block = is_block
    return " ".join(joined)


def _with_stop(line: str) -> str:
    return line if line.rstrip("\"')*_`”’ ")[-1:] in ".!?:;,…" else line + "."


def _strip_line(line: str) -> tuple[str, bool]:
    """Give a line without its markdown, and whether it is a block of its own."""
    bare = line.strip()
    if not bare or _FENCE.match(line) or (len(bare) >= 3 and set(bare) <= _RULE_SIGNS):
        return "", False
    if bare.startswith("|") and bare.endswith("|"):
        return ", ".join(cell.strip() for cell in bare.strip("|").split("|") if cell.strip()), True
    unquoted = _QUOTE.sub("", line)
    if heading := _HEADING.match(unquoted):
        return unquoted[heading.end() :].strip().rstrip("#").strip(), True
    if bullet := _BULLET.match(unquoted):
        return unquoted[bullet.end() :].strip(), True
    if item := _ITEM.match(unquoted):
        return f"{item.group(1)}, {unquoted[item.end() :].strip()}", True
    return unquoted.strip(), False


def _say_email(match: re.Match[str]) -> str:
    return f"{_say_address(match.group(1))} at {_say_address(match.group(2))}"


def _say_domain(match: re.Match[str]) -> str:
    path = match.group(3).rstrip(".")
    return _say_address(f"{match.group(1)}.{match.group(2)}{path}") + match.group(3)[len(path) :]


def _say_url(match: re.Match[str]) -> str:
    address = match.group(1).rstrip(".,;:!?*_~`|")
    trail = match.group(1)[len(address) :]
    shown = re.split(r"[?#]", address, maxsplit=1)[0].rstrip("/")
    host, _, path = shown.partition("/")
    host = host.rpartition("@")[2].partition(":")[0].removeprefix("www.")
    if path and len(path) <= _LONGEST_PATH:
        host = f"{host}/{path}"
    return _say_address(host) + trail.rstrip("*_~`|")


def _say_address(address: str) -> str:
    return " ".join("".join(_ADDRESS_SIGNS.get(sign, sign) for sign in address).split())
