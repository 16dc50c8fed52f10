"""What a user likes: ``tui.toml`` beside the contexts. Whatever is wrong in it is told, and the rest holds.

theme = "mine"          # ave-dark, ave-light, ave-ansi, or any of Textual's
ascii = false           # glyphs that every terminal has
read_only = false
folder = "."            # where exports and screenshots go

[keymap]                # by the ids of docs/dashboard.md
vm-start = "ctrl+u"

[themes.mine]
base = "ave-dark"
accent = "#ffb000"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from textual.theme import Theme

from tui.theme import THEMES, theme_of


class Liked(msgspec.Struct, frozen=True, kw_only=True):
    theme: str = ""
    ascii: bool = False
    read_only: bool = False
    folder: str = "."
    keymap: Mapping[str, str] = {}
    themes: Mapping[str, Mapping[str, str]] = {}
    wrong: tuple[str, ...] = ()


_KNOWN = ("theme", "ascii", "read_only", "folder", "keymap", "themes")


def load(path: Path) -> Liked:
    """Nothing is wrong if there is no such file."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Liked()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Liked(wrong=(f"{path}: {error}",))
    wrong = [f"{path}: {name} is nothing that can be said there" for name in said if name not in _KNOWN]
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Liked):
        if field.name in said and field.name in _KNOWN:
            try:
                found[field.name] = msgspec.convert(said[field.name], field.type)
            except msgspec.ValidationError as error:
                wrong.append(f"{path}: {field.name}: {error}")
    return Liked(**found, wrong=tuple(wrong))


def themes(liked: Liked) -> tuple[list[Theme], list[str]]:
    """Ours and the user's; and what is wrong with the latter."""
    found = {theme.name: theme for theme in THEMES}
    wrong: list[str] = []
    for name, tones in liked.themes.items():
        colours = dict(tones)
        base = colours.pop("base", THEMES[0].name)
        if base not in found:
            wrong.append(f"theme {name}: there is no theme {base} to begin with")
            continue
        try:
            found[name] = theme_of(name, colours, found[base])
        except ValueError as error:
            wrong.append(str(error))
    return list(found.values()), wrong
