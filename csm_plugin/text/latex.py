"""Formulas in LaTeX, as words and plain signs."""

from __future__ import annotations

import re

_DISPLAY = re.compile(r"\$\$([^$]{1,400})\$\$|\\\[(.{1,400}?)\\\]|\\\((.{1,400}?)\\\)", re.DOTALL)
_INLINE = re.compile(r"(?<![\w\\$])\$(?!\s)([^$\n]{1,200}?)(?<!\s)\$(?![\w$])")
_IS_FORMULA = re.compile(r"\\[A-Za-z]|[\^_]|^[A-Za-z]$|^[A-Za-z(]\S{0,20}\s?[-=+<>*/]|^[0-9]{1,9}\s?[=+*/<>]")
_COMMANDS = {
    "times": "times", "cdot": "times", "div": "divided by", "pm": "plus or minus", "mp": "minus or plus",
    "ast": "times", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠", "lt": "<", "gt": ">",
    "approx": "≈", "sim": "~", "equiv": "is equivalent to", "infty": "infinity", "to": "→", "rightarrow": "→",
    "Rightarrow": "implies", "in": "in", "sum": "the sum", "prod": "the product", "int": "the integral",
    "lim": "the limit", "partial": "d", "nabla": "nabla", "ldots": "and so on", "cdots": "and so on",
    "dots": "and so on", "degree": "°", "circ": "°", "angle": "angle", "sin": "sine", "cos": "cosine",
    "tan": "tangent", "log": "log", "ln": "natural log", "exp": "exp", "cup": "union", "cap": "intersection",
    "subset": "is a subset of", "forall": "for all", "exists": "there exists", "propto": "is proportional to",
    "left": "", "right": "", "big": "", "Big": "", "displaystyle": "", "quad": " ", "qquad": " ", "limits": "",
    "text": "", "mathrm": "", "mathbf": "", "mathbb": "", "mathit": "", "operatorname": "", "textbf": "",
    "textit": "", "emph": "", "boxed": "", "vec": "vector", "hat": "hat", "bar": "bar", "therefore": "therefore",
    "because": "because",
}  # fmt: skip
_FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]{1,120})\}\s?\{([^{}]{1,120})\}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s?([0-9])\s?([0-9])")
_ROOT = re.compile(r"\\sqrt(?:\[([0-9n])\])?\s?\{([^{}]{1,120})\}")
_DEGREES = re.compile(r"\^\s?(?:\\circ|\{\s?\\circ\s?\})")
_POWER = re.compile(r"\^\s?\{([^{}]{1,60})\}")
_SUB = re.compile(r"_\s?(?:\{([^{}]{1,60})\}|([A-Za-z0-9]))")
_BOUNDS = re.compile(r"\\(sum|prod|int)\s?_\s?(?:\{([^{}]{1,60})\}|(\w))\s?\^\s?(?:\{([^{}]{1,60})\}|(\w|\\infty\b))")
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|mathbb|textbf|textit|emph|operatorname|boxed)\s?\{([^{}]{0,200})\}")
_COMMAND = re.compile(r"\\([A-Za-z]{1,24})\s?")
_SPACE = re.compile(r"\\[,;:! ]|(?<!\\)~")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_DEEPEST = 4


def say_latex(text: str) -> str:
    """Put formulas into words; what is escaped with a backslash loses it. Linear in the length."""
    if "$" in text or "\\" in text:
        text = _DISPLAY.sub(lambda match: f" {_say(next(group for group in match.groups() if group))} ", text)
        text = _INLINE.sub(_say_inline, text)
    if "\\" not in text:
        return text
    if _COMMAND.search(text):
        text = _say(text) if _FRACTION.search(text) or _ROOT.search(text) else _COMMAND.sub(_say_command, text)
    return _ESCAPED.sub(r"\1", text)


def _say_inline(match: re.Match[str]) -> str:
    return _say(match.group(1)) if _IS_FORMULA.search(match.group(1)) else match.group()


def _say(formula: str) -> str:
    formula = _SPACE.sub(" ", _DEGREES.sub("°", formula))
    formula = _BOUNDS.sub(_say_bounds, _TEXT.sub(r"\1", _SHORT_FRACTION.sub(r"\1/\2", formula)))
    for _ in range(_DEEPEST):
        before = formula
        formula = _POWER.sub(r"^(\1)", _SUB.sub(lambda sub: f" sub {sub.group(1) or sub.group(2)} ", formula))
        formula = _ROOT.sub(_say_root, _FRACTION.sub(_say_fraction, formula))
        if formula == before:
            break
    return _COMMAND.sub(_say_command, formula).replace("{", " ").replace("}", " ")


def _say_fraction(match: re.Match[str]) -> str:
    top, bottom = match.group(1).strip(), match.group(2).strip()
    if top.isdigit() and bottom.isdigit() and len(bottom) <= 3:
        return f" {top}/{bottom} "
    return f" {top} over {bottom} "


def _say_root(match: re.Match[str]) -> str:
    name = {None: "square root", "2": "square root", "3": "cube root"}.get(match.group(1), f"{match.group(1)}th root")
    return f" the {name} of {match.group(2)} "


def _say_bounds(match: re.Match[str]) -> str:
    low, high = match.group(2) or match.group(3), match.group(4) or match.group(5)
    return f"{_COMMANDS[match.group(1)]} from {low.replace('=', ' equals ')} to {high} of "


def _say_command(match: re.Match[str]) -> str:
    return f" {_COMMANDS.get(match.group(1), match.group(1))} "
