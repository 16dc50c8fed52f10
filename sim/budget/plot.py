"""The distribution of downtime as SVG, by hand: a panel for each profile, a cumulative curve for each failure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sim.budget.figures import Budget, OfFailure

WIDTH, HEIGHT = 420, 240  # of a panel, with its margins
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 40
COLUMNS = 2
KEY_HEIGHT = 20
TICK_SECONDS = 30
LOOKS = (
    ("#0072b2", ""),
    ("#e69f00", ""),
    ("#009e73", ""),
    ("#cc79a7", "7 4"),
    ("#000000", "2 4"),
    ("#d55e00", ""),
    ("#56b4e9", "7 4"),
    ("#7a7a7a", ""),
    ("#8b4513", "2 4"),
)  # of one curve each, in this order


def plot(budgets: Sequence[Budget]) -> str:
    names = list(dict.fromkeys(each.name for budget in budgets for each in stopping(budget)))
    looks = {name: LOOKS[place % len(LOOKS)] for place, name in enumerate(names)}
    longest = max((each.curve[-1] for budget in budgets for each in stopping(budget)), default=1.0)
    span = TICK_SECONDS * math.ceil(longest / TICK_SECONDS)
    columns = min(COLUMNS, len(budgets))
    rows = math.ceil(len(budgets) / COLUMNS)
    key_rows = math.ceil(len(names) / COLUMNS)
    width, height = WIDTH * max(1, columns), HEIGHT * rows + KEY_HEIGHT * (key_rows + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        "<title>Share of the VMs that were down no longer than so many seconds</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for place, budget in enumerate(budgets):
        x, y = WIDTH * (place % COLUMNS), HEIGHT * (place // COLUMNS)
        lines += [f'<g transform="translate({x} {y})">', *_panel(budget, span, looks), "</g>"]
    for place, name in enumerate(names):
        x = LEFT + (place % columns) * WIDTH
        y = HEIGHT * rows + KEY_HEIGHT * (place // columns) + 10
        lines.append(f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" {_stroke(looks[name])}/>')
        lines.append(f'<text x="{x + 34}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def stopping(budget: Budget) -> list[OfFailure]:
    """Those that stop VMs at all."""
    return [each for each in budget.failures if each.downtime.stopped]


def points(curve: Sequence[float], span: float) -> list[tuple[float, float]]:
    """Steps from nothing to all: the share rises where that many were down no longer."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    at = [(0.0, 0)]
    for percent, seconds in enumerate(curve, 1):
        at += [(seconds, percent - 1), (seconds, percent)]
    at.append((span, len(curve)))
    return [(LEFT + wide * x / span, TOP + high * (1 - y / len(curve))) for x, y in at]


def _panel(budget: Budget, span: float, looks: dict[str, tuple[str, str]]) -> list[str]:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    title = f"{budget.profile}: gives up after {budget.give_up:g} s, verdict after {budget.verdict:g} s"
    lines = [f'<text x="{LEFT}" y="{TOP - 12}" font-weight="bold">{escape(title)}</text>']
    for percent in (0, 25, 50, 75, 100):
        y = TOP + high * (1 - percent / 100)
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for seconds in range(0, int(span) + 1, TICK_SECONDS):
        x = LEFT + wide * seconds / span
        lines.append(f'<line x1="{x:.1f}" y1="{TOP + high}" x2="{x:.1f}" y2="{TOP + high + 4}" stroke="#888"/>')
        lines.append(f'<text x="{x:.1f}" y="{TOP + high + 16}" text-anchor="middle">{seconds}</text>')
    lines.append(f'<text x="{LEFT + wide / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">seconds of downtime</text>')
    for each in stopping(budget):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points(each.curve, span))
        lines.append(f'<polyline points="{path}" fill="none" {_stroke(looks[each.name])}/>')
    return lines


def _stroke(look: tuple[str, str]) -> str:
    colour, dash = look
    return f'stroke="{colour}" stroke-width="1.8"' + (f' stroke-dasharray="{dash}"' if dash else "")
