"""Where the English is from: it decides how dates are read and some words."""

from __future__ import annotations

from typing import Literal, get_args

from csm_plugin.errors import SettingsError

Locale = Literal["en-US", "en-GB"]
"""English as written and spoken in the United States or in Britain."""


def check_locale(locale: str) -> Locale:
    """Refuse what is no `Locale`.

    Raises:
        SettingsError: it is none.
    """
    for known in get_args(Locale):
        if locale == known:
            return known
    raise SettingsError(f"the locale is {locale!r}; it must be one of {', '.join(get_args(Locale))}")
