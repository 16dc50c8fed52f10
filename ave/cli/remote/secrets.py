"""Secrets on their way from a person to a request: typed unseen, or read from a file; never an argument."""

from __future__ import annotations

import sys

from ave.cli.remote.failures import Usage

LINE_MOST = 4096  # characters


def secret(file: str, what: str, flag: str) -> str:
    """The first line of that file, of stdin if it is ``-``; "": whoever sits there is asked. Raises Usage."""
    if file == "-":
        return _line(sys.stdin.readline(LINE_MOST), flag)
    if file:
        try:
            with open(file, encoding="utf-8") as opened:
                return _line(opened.readline(LINE_MOST), flag)
        except (OSError, UnicodeDecodeError) as problem:
            raise Usage(f"{flag}: {getattr(problem, 'strerror', None) or problem}") from None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Usage(
            f"the {what} is needed, and nobody can be asked here", f"{flag} FILE, or {flag} - to read it from stdin"
        )
    import getpass

    return _line(getpass.getpass(f"{what}: "), flag)


def _line(text: str, flag: str) -> str:
    if not (line := text.rstrip("\r\n")):
        raise Usage(f"{flag}: there is nothing in it")
    return line
