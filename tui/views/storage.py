"""Volumes: how large, of which policy, and whose."""

from __future__ import annotations

from collections.abc import Sequence

from tui.ages import gib
from tui.columns import Column, Row, Span, state_cell
from tui.glyphs import sign
from tui.views.base import Lines, Place, Plain, events_of, heading, natural, pair, why


class Volumes(Plain):
    noun = "volume"
    order = ("NAME", False)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column(
                "STATE",
                11,
                lambda row: state_cell("volume", row["state"]),
                lambda row: -sign("volume", row["state"]).trouble,
                "S",
            ),
            Column("NAME", 32, lambda row: (row["id"], "text"), lambda row: natural(row["id"]), "N", name=True),
            Column(
                "SIZE",
                6,
                lambda row: (gib(row["size_gib"] * 1024), "text"),
                lambda row: row["size_gib"],
                "Z",
                right=True,
                stays=1,
            ),
            Column(
                "VM",
                22,
                lambda row: (row["vm"] or "–", "text" if row["vm"] else "faint"),
                lambda row: row["vm"],
                "V",
                stays=2,
            ),
            Column("VM IS", 11, self._state, None, stays=3),
            Column("HOST", 10, self._host, None, stays=4),
            Column(
                "COPIES",
                6,
                lambda row: (str(row["policy"]["replicas"]), "dim"),
                lambda row: row["policy"]["replicas"],
                "P",
                right=True,
                stays=5,
            ),
            Column("THIN", 4, lambda row: ("yes" if row["policy"]["thin"] else "no", "dim"), None, stays=6),
            Column(
                "STRIPES",
                10,
                lambda row: (f"{row['policy']['stripes']}×{row['policy']['stripe_kib']}K", "dim"),
                None,
                stays=7,
            ),
            Column("WHY", 20, lambda row: (why(row), "dim"), None, stays=8, grows=True),
        )

    def into(self, key: str) -> Place | None:
        row = self.row(key)
        return Place("parts", (("vm", row["vm"]),), row["vm"]) if row is not None and row["vm"] else None

    def panel(self, key: str) -> Lines:
        row = self.row(key)
        if row is None:
            return []
        policy = row["policy"]
        lines: Lines = [
            [*state_cell("volume", row["state"])],
            [],
            pair("size", gib(row["size_gib"] * 1024)),
            pair("of", row["vm"] or ("no VM", "dim")),
            pair("copies", f"{policy['replicas']}"),
            pair("thin", "yes" if policy["thin"] else "no"),
            pair("stripes", f"{policy['stripes']} of {policy['stripe_kib']} KiB"),
            [],
            heading("Its story"),
        ]
        lines += [[(each, "dim")] for each in row.get("story", ())[-5:]] or [[("nothing is told", "dim")]]
        if said := events_of(self.context, [("volume", key)], 8):
            lines += [[], heading("Events"), *said]
        return lines

    def _state(self, row: Row) -> list[Span]:
        vm = self.model.docs["vm"].get(row["vm"])
        return state_cell("vm", vm["state"]) if vm is not None else [("", "dim")]

    def _host(self, row: Row) -> Span:
        vm = self.model.docs["vm"].get(row["vm"])
        return (vm["host"] if vm is not None else "", "dim")
