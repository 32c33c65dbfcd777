"""Makes text from outside, such as a file's name, fit for any log, message or JSON file."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` in one line of valid UTF-8.

    Bytes that are not valid UTF-8 (Python keeps them in a file's name as lone surrogates, PEP 383) and
    characters that do not print (line feeds, escapes) become backslash escapes: `caf\\xe9.wav`.
    """
    try:
        valid = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        valid = text.encode(errors="backslashreplace").decode()
    if valid.isprintable():
        return valid
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in valid)


def is_utf8(text: str) -> bool:
    """Whether `text`, such as the path of a file, is valid text: a name in another encoding also holds
    bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
