"""Colours. Text is neutral and colour means a state; every tone is found among the variables of whatever theme is on.

Our themes say all of them; another theme of Textual's, or of the user's, has at least its own meanings of success,
warning and error, and the rest is mixed from its foreground and background.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

HEAT_STEPS = 7
DEFAULT_ANSI = -1
SOFT = 0.55  # how far a soft tone is on its way to what is behind it
# A tone, the variable that may say it, and else the two between which it is mixed, and how far.
_MIXED: Mapping[str, tuple[str, str, float]] = {
    "dim": ("foreground", "background", 0.45),
    "faint": ("foreground", "background", 0.74),
    "line": ("foreground", "background", 0.84),
    "cursor": ("background", "accent", 0.22),
    "tile-bad": ("background", "bad", 0.34),
    "tile-warn": ("background", "warn", 0.28),
    "tile-info": ("background", "info", 0.28),
    "heat-0": ("background", "accent", 0.08),
    "heat-1": ("background", "accent", 0.17),
    "heat-2": ("background", "accent", 0.25),
    "heat-3": ("background", "accent", 0.34),
    "heat-4": ("background", "warn", 0.30),
    "heat-5": ("background", "warn", 0.45),
    "heat-6": ("background", "bad", 0.45),
}
_NAMED: Mapping[str, tuple[str, ...]] = {  # the first of these that the theme has
    "text": ("foreground",),
    "strong": ("ave-strong", "foreground"),
    "accent": ("primary",),
    "good": ("success",),
    "info": ("ave-info", "accent", "secondary"),
    "warn": ("warning",),
    "bad": ("error",),
    "time": ("secondary", "accent"),
    "base": ("background",),
    "panel": ("surface",),
}
TONES = (*_NAMED, *_MIXED)

DARK = Theme(
    name="ave-dark",
    dark=True,
    primary="#6cc5b9",
    secondary="#b79ae0",
    accent="#6cc5b9",
    foreground="#c9d3dd",
    background="#10141a",
    surface="#151b23",
    panel="#1b232d",
    success="#7fb77e",
    warning="#e0b062",
    error="#e3716e",
    variables={
        "ave-info": "#78a9e0",
        "ave-strong": "#f0f4f8",
        "ave-dim": "#78879a",
        "ave-faint": "#3d4855",
        "ave-line": "#26303b",
        "ave-cursor": "#22303d",
        "ave-tile-bad": "#4a1f22",
        "ave-tile-warn": "#473716",
        "ave-tile-info": "#1d3350",
        "ave-heat-0": "#18222b",
        "ave-heat-1": "#1b2d36",
        "ave-heat-2": "#1f3b42",
        "ave-heat-3": "#254b4d",
        "ave-heat-4": "#4c5238",
        "ave-heat-5": "#6b5230",
        "ave-heat-6": "#7d3f32",
        "border": "#26303b",
        "border-blurred": "#26303b",
        "scrollbar": "#26303b",
        "scrollbar-background": "#10141a",
        "scrollbar-corner-color": "#10141a",
        "scrollbar-hover": "#3d4855",
        "scrollbar-active": "#6cc5b9",
        "scrollbar-background-hover": "#10141a",
        "scrollbar-background-active": "#10141a",
        "footer-background": "#151b23",
        "input-cursor-background": "#c9d3dd",
        "input-cursor-foreground": "#10141a",
    },
)
LIGHT = Theme(
    name="ave-light",
    dark=False,
    primary="#0f766e",
    secondary="#7048b8",
    accent="#0f766e",
    foreground="#2a3440",
    background="#fbfaf7",
    surface="#f1efe9",
    panel="#e8e5dd",
    success="#3f7d3c",
    warning="#9a6700",
    error="#b3302c",
    variables={
        "ave-info": "#245fa8",
        "ave-strong": "#0b1118",
        "ave-dim": "#6a7480",
        "ave-faint": "#c2c1ba",
        "ave-line": "#dcd9d0",
        "ave-cursor": "#dbe9e6",
        "ave-tile-bad": "#f3cfcb",
        "ave-tile-warn": "#f3e2bd",
        "ave-tile-info": "#d3e1f3",
        "ave-heat-0": "#eef1ec",
        "ave-heat-1": "#e0ece6",
        "ave-heat-2": "#cfe5dd",
        "ave-heat-3": "#b9dbd1",
        "ave-heat-4": "#ece3b4",
        "ave-heat-5": "#f1d29c",
        "ave-heat-6": "#eeb49a",
        "border": "#dcd9d0",
        "border-blurred": "#dcd9d0",
        "scrollbar": "#dcd9d0",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-corner-color": "#fbfaf7",
        "scrollbar-hover": "#c2c1ba",
        "scrollbar-active": "#0f766e",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
        "footer-background": "#f1efe9",
        "input-cursor-background": "#2a3440",
        "input-cursor-foreground": "#fbfaf7",
    },
)
# The sixteen colours of the terminal itself, whatever they are there.
ANSI = Theme(
    name="ave-ansi",
    dark=True,
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_magenta",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    variables={
        "ave-info": "ansi_blue",
        "ave-strong": "ansi_default",
        "ave-dim": "ansi_bright_black",
        "ave-faint": "ansi_bright_black",
        "ave-line": "ansi_bright_black",
        "ave-cursor": "ansi_cyan",
        "ave-tile-bad": "ansi_red",
        "ave-tile-warn": "ansi_yellow",
        "ave-tile-info": "ansi_blue",
        "ave-heat-0": "ansi_default",
        "ave-heat-1": "ansi_default",
        "ave-heat-2": "ansi_default",
        "ave-heat-3": "ansi_default",
        "ave-heat-4": "ansi_default",
        "ave-heat-5": "ansi_yellow",
        "ave-heat-6": "ansi_red",
        # What Textual's own widgets ask of a theme of this kind.
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_cyan",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_bright_blue",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_bright_blue",
        "screen-selection-foreground": "ansi_black",
        "scrollbar": "ansi_bright_black",
        "scrollbar-background": "ansi_default",
    },
)
THEMES = (DARK, LIGHT, ANSI)


def theme_of(name: str, colours: Mapping[str, str], base: Theme) -> Theme:
    """A user's theme: a few tones of another one are other ones. Raises ValueError: there is no such tone or colour."""
    fields = {
        "text": "foreground",
        "accent": "primary",
        "good": "success",
        "warn": "warning",
        "bad": "error",
        "time": "secondary",
        "base": "background",
        "panel": "surface",
    }
    said: dict[str, str] = {}
    variables = dict(base.variables)
    for tone, colour in colours.items():
        if tone not in TONES:
            raise ValueError(f"theme {name}: there is no tone {tone}; there are {', '.join(TONES)}")
        try:
            Color.parse(colour)
        except ColorParseError:
            raise ValueError(f"theme {name}: {tone} = {colour} is no colour") from None
        if tone in fields:
            said[fields[tone]] = colour
        else:
            variables[f"ave-{tone}"] = colour
    from dataclasses import replace

    return replace(base, name=name, variables=variables, **said)  # type: ignore[arg-type]  # only texts are said


class Palette:
    """The tones of one theme, as styles. ``good!`` is bold, ``good~`` is soft. Styles are made once and kept."""

    def __init__(self, variables: Mapping[str, str], *, faded: bool = False) -> None:
        """``faded``: what is shown is old."""
        self._colours: dict[str, Color] = {}
        for tone, names in _NAMED.items():
            self._colours[tone] = self._said(variables, f"ave-{tone}", *names) or Color(128, 128, 128)
        for tone, (of, to, far) in _MIXED.items():
            source = {"foreground": "text", "background": "base"}
            a, b = self._colours[source.get(of, of)], self._colours[source.get(to, to)]
            mixed = a if a.ansi is not None or b.ansi is not None else a.blend(b, far)
            self._colours[tone] = self._said(variables, f"ave-{tone}") or mixed
        if faded:
            self._fade()
        self.style = lru_cache(4096)(self._style)

    @staticmethod
    def _said(variables: Mapping[str, str], *names: str) -> Color | None:
        for name in names:
            if name in variables:
                try:
                    return Color.parse(variables[name])
                except ColorParseError:
                    continue  # "auto 60%" and the like
        return None

    def _fade(self) -> None:
        """All but what says that it is so."""
        base, dim = self._colours["base"], self._colours["dim"]
        for tone, colour in self._colours.items():
            if tone in ("strong", "bad", "tile-bad", "base", "panel"):
                continue
            plain = colour.ansi is not None or base.ansi is not None
            self._colours[tone] = dim if plain else colour.blend(base, 0.5)

    def colour(self, tone: str) -> Color:
        return self._colours[tone]

    def _style(self, tone: str = "text", back: str = "base") -> Style:
        colour, behind = self._colours[tone.rstrip("!~")], self._colours[back]
        if behind.ansi not in (None, DEFAULT_ANSI):
            colour = Color.parse("ansi_black")  # nobody knows what else is seen on the terminal's own colours
        if tone.endswith("~") and colour.ansi is None and behind.ansi is None:
            colour = colour.blend(behind, SOFT)
        return Style(color=colour.rich_color, bgcolor=behind.rich_color, bold=tone.endswith("!"))
