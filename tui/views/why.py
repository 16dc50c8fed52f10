"""Why: every host against every rule and every score, for one VM, as the API explains it; and the cheapest change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tui.ages import gib
from tui.columns import Column, Row, Span
from tui.views.base import Docs, Lines, Place, heading, pair

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "chosen": ("● ", "good"),
    "passed over": ("○ ", "dim"),
    "turned away": ("✕ ", "bad"),
}


class Why(Docs):
    """``explained`` is what the API said last; there is none until it has answered."""

    noun = ""
    order = ("", False)

    def __init__(self, context: Any, place: Place) -> None:
        self.vm = place.of("vm")
        self.explained: Mapping[str, Any] | None = None
        self.trouble = ""
        self._rows: dict[str, Any] = {}
        self._answers = 0
        self.resets = 0  # of the model, when it was asked
        super().__init__(context, place)

    def take(self, explained: Mapping[str, Any]) -> None:
        self.explained, self.trouble = explained, ""
        self._rows = {f"{number:05d}/{host['host']}": host for number, host in enumerate(explained["hosts"])}
        self._answers += 1
        self.columns = self.made_columns()

    def fail(self, trouble: str) -> None:
        self.trouble = trouble
        self._answers += 1

    def made_columns(self) -> Sequence[Column]:
        explained = self.explained
        hosts = explained["hosts"] if explained is not None else ()
        first = hosts[0] if hosts else None
        filters = [verdict["filter"] for verdict in first["verdicts"]] if first else []
        ruling = {each["filter"] for host in hosts for each in host["verdicts"] if not each["passed"]}
        preferences = [penalty["preference"] for penalty in first["penalties"]] if first else []
        return (
            Column("HOST", 14, lambda row: (row["host"], "text"), lambda row: row["host"], "H"),
            Column("OUTCOME", 13, _outcome, None),
            *(
                Column(_short(name), len(_short(name)), _verdict(name), None, stays=2 if name in ruling else 4)
                for name in filters
            ),
            *(
                Column(_short(name), len(_short(name)), _penalty(name), None, stays=3, right=True)
                for name in preferences
            ),
            _number("CPU", "cpu", "dim", "P", 8),
            _number("MEM", "memory", "dim", "M", 7),
            _number("SCORE", "score", "text", "S", 1),
            Column(
                "FREE",
                6,
                lambda row: (gib(row["free_mib"]) if row["free_mib"] > 0 else "0", "text"),
                lambda row: row["free_mib"],
                "F",
                right=True,
                stays=6,
            ),
            Column("VMS", 5, lambda row: (f"{row['vms']:,}", "dim"), lambda row: row["vms"], "V", right=True, stays=9),
            Column("BECAUSE", 20, _because, None, stays=5, grows=True),
        )

    def seen(self) -> Any:
        return self._answers

    def keys(self) -> Sequence[str]:
        return list(self._rows)

    def row(self, key: str) -> Row | None:
        return self._rows.get(key)

    def stamp(self, key: str) -> Any:
        return self._answers

    def text(self, key: str) -> str:
        row = self._rows.get(key)
        return "" if row is None else f"{row['host']} {row['outcome']} {row['by']} {row['why']}".lower()

    def labels(self, key: str) -> Mapping[str, str]:
        return {}

    def thing(self, key: str) -> tuple[str, str]:
        row = self._rows.get(key)
        return ("host", row["host"]) if row is not None else ("", "")

    def into(self, key: str) -> Place | None:
        noun, id = self.thing(key)
        return Place("vms", (("host", id),), id) if noun else None

    def heading(self) -> Lines:
        if not self.vm:
            return [
                [("There is no VM yet. ", "dim"), ("w", "accent!"), (" on a VM shows why it is where it is.", "dim")]
            ]
        if self.trouble:
            return [[("✕ ", "bad"), (self.trouble, "text")]]
        if self.explained is None:
            return [[("the cluster is being asked …", "dim")]]
        says = str(self.explained["says"])
        answer, mark, change = says.partition(" Cheapest change: ")
        lines: Lines = [[(answer, "text")]]
        if mark:
            lines.append([("▲ Cheapest change: ", "warn"), (change, "strong!")])
        return lines

    def panel(self, key: str) -> Lines:
        row = self._rows.get(key)
        if row is None:
            return []
        glyph, tone = OUTCOMES.get(row["outcome"], ("? ", "warn"))
        lines: Lines = [
            [(glyph, tone), (f"{row['host']} {row['outcome']}", "strong!")],
            [(row["why"], "text")],
            [],
            heading("Every rule"),
        ]
        for verdict in row["verdicts"]:
            lines.append(
                [
                    ("✓ " if verdict["passed"] else "✕ ", "good" if verdict["passed"] else "bad"),
                    (f"{verdict['filter']}  ", "text"),
                    (verdict["says"], "dim"),
                ]
            )
        if row["penalties"]:
            lines += [[], heading("Preferences")]
            lines += [
                [
                    (f"{each['penalty']:>4}  ", "warn" if each["penalty"] else "dim"),
                    (f"{each['preference']}  ", "text"),
                    (each["says"], "dim"),
                ]
                for each in row["penalties"]
            ]
        score = row["score"]
        lines += [
            [],
            heading("Score, lower is better"),
            pair("cpu", f"{score['cpu']:.4f}"),
            pair("memory", f"{score['memory']:.4f}"),
            pair("score", f"{score['score']:.4f}"),
        ]
        return lines


def _outcome(row: Row) -> list[Span]:
    glyph, tone = OUTCOMES.get(row["outcome"], ("? ", "warn"))
    return [(glyph, tone), (row["outcome"], "text" if row["outcome"] == "chosen" else "dim")]


def _because(row: Row) -> Span:
    """Which rule it was says its column."""
    return row["why"], "bad" if row["outcome"] == "turned away" else "dim"


def _verdict(name: str) -> Any:
    def cell(row: Row) -> Span:
        found = next((each for each in row["verdicts"] if each["filter"] == name), None)
        if found is None:
            return "·", "faint"
        return ("✓", "good") if found["passed"] else ("✕", "bad!")

    return cell


def _penalty(name: str) -> Any:
    def cell(row: Row) -> Span:
        found = next((each for each in row["penalties"] if each["preference"] == name), None)
        if found is None:
            return "·", "faint"
        return f"{found['penalty']}", "warn" if found["penalty"] else "faint"

    return cell


_SHORT: Mapping[str, str] = {
    "PlacementGroupMustFilter": "GROUPS",
    "HostAvailableFilter": "UP",
    "MaintenanceFilter": "MAINT",
    "NetworkFilter": "NET",
    "CpuModelFilter": "MODEL",
    "HostAvailableMemoryFilter": "MEMORY",
    "CpuPinningFilter": "PINS",
    "NicCapacityFilter": "NICS",
    "StorageCapacityFilter": "DISKS",
}


def _number(title: str, part: str, tone: str, letter: str, stays: int) -> Column:
    """A part of the score."""
    return Column(
        title,
        6,
        lambda row: (f"{row['score'][part]:.3f}", tone),
        lambda row: row["score"][part],
        letter,
        right=True,
        stays=stays,
    )


def _short(name: str) -> str:
    """A title of few cells, of a rule that a newer server may have too: its capitals."""
    return (
        _SHORT.get(name)
        or "".join(each for each in name.removesuffix("Filter") if each.isupper())[:6]
        or name[:6].upper()
    )
