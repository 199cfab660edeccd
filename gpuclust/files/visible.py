"""Names and messages as visible text: control characters are shown, never obeyed."""

from __future__ import annotations

import re

# C0 and C1 controls, marks that reorder text (bidi), separators of lines, the byte order mark, and
# surrogates, which stand for bytes outside UTF-8 in a file name.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]"
)
_HIDDEN_BUT_LINES = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str, *, lines: bool = False) -> str:
    r"""Escape control characters for a terminal or a page.

    O(length of the text).

    Parameters
    ----------
    text : str
        Any text, such as the name of a file.
    lines : bool
        Keep line breaks and tabs.

    Returns
    -------
    str
        ``\xNN`` for control characters and for bytes outside UTF-8, ``\uNNNN`` for marks that
        change the direction of text, for separators of lines and for lone surrogates.

    Examples
    --------
    >>> print(visible("red\x1b[31m.npz"))
    red\x1b[31m.npz
    >>> print(visible("fotos-\udcfc"))
    fotos-\xfc
    """
    pattern = _HIDDEN_BUT_LINES if lines else _HIDDEN
    return pattern.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte outside UTF-8, as Python reads it from the system
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
