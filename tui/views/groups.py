"""Placement groups: the rules, and whether where VMs are now keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tui.columns import Column, Row, Span, state_cell
from tui.glyphs import sign
from tui.model import Model
from tui.views.base import Docs, Lines, Place, events_of, heading, natural, pair

_PLACED = ("starting", "running", "suspended", "unknown")


class Groups(Docs):
    noun = "group"
    order = ("NAME", False)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column(
                "STATE",
                10,
                lambda row: state_cell("group", row["state"]),
                lambda row: -sign("group", row["state"]).trouble,
                "S",
            ),
            Column("NAME", 26, lambda row: (row["id"], "text"), lambda row: natural(row["id"]), "N", name=True),
            Column(
                "RULE",
                24,
                lambda row: (row["rule"], "strong" if row["rule"].startswith("must-") else "text"),
                lambda row: row["rule"],
                "R",
                stays=1,
            ),
            Column(
                "VMS",
                4,
                lambda row: (str(len(row["vms"])), "text"),
                lambda row: len(row["vms"]),
                "V",
                right=True,
                stays=2,
            ),
            Column("KEPT", 12, self._kept, lambda row: -len(broken(self.model, row)), "K"),
            Column("WHERE", 18, _where, None, stays=3),
            Column("BROKEN BY", 20, lambda row: (", ".join(broken(self.model, row)), "dim"), None, stays=4, grows=True),
        )

    def seen(self) -> Any:
        return self.model.counts["group"], self.model.counts["vm"], self.model.resets

    def stamp(self, key: str) -> Any:
        row = self.row(key)
        vms = self.model.stamp["vm"]
        return self.model.stamp["group"].get(key, 0), tuple(vms.get(id, 0) for id in row["vms"]) if row else ()

    def into(self, key: str) -> Place | None:
        return Place("vms", (("group", key),), key)

    def panel(self, key: str) -> Lines:
        row = self.row(key)
        if row is None:
            return []
        lines: Lines = [[*state_cell("group", row["state"])], [], pair("rule", row["rule"]), pair("where", _where(row))]
        lines += [[], heading("Its VMs")]
        wrong = set(broken(self.model, row))
        for id in row["vms"][:40]:
            vm = self.model.docs["vm"].get(id)
            state = state_cell("vm", vm["state"]) if vm is not None else [("? gone", "warn")]
            here = vm["host"] if vm is not None else ""
            lines.append([(f"{id:<20} ", "bad" if id in wrong else "text"), *state, (f"  {here}", "dim")])
        if said := events_of(self.context, [("group", key)], 8):
            lines += [[], heading("Events"), *said]
        return lines

    def _kept(self, row: Row) -> list[Span]:
        if row["state"] != "enabled":
            return [("– off", "faint")]
        wrong = broken(self.model, row)
        if not wrong:
            return [("✓ ", "good"), ("kept", "dim")]
        tone = "bad" if row["rule"].startswith("must-") else "warn"
        return [("✕ " if tone == "bad" else "▲ ", tone), (f"{len(wrong)} not", tone)]


def broken(model: Model, group: Mapping[str, Any]) -> list[str]:
    """The VMs that are where the rule would not have them now."""
    docs = model.docs["vm"]
    here = {id: docs[id]["host"] for id in group["vms"] if id in docs and docs[id]["state"] in _PLACED}
    aspect = group["rule"].partition("-")[2]
    if aspect == "hosts":
        return [id for id, host in here.items() if host not in group["hosts"]]
    if aspect == "not-hosts":
        return [id for id, host in here.items() if host in group["hosts"]]
    if aspect == "zone":
        hosts = model.docs["host"]
        return [id for id, host in here.items() if hosts.get(host, {}).get("zone") != group["zone"]]
    crowd = Counter(here.values())
    if aspect == "different-hosts":
        seen: set[str] = set()
        return [id for id, host in here.items() if crowd[host] > 1 and (host in seen or seen.add(host))]  # type: ignore[func-returns-value]
    if aspect == "same-host" and crowd:
        most = crowd.most_common(1)[0][0]
        return [id for id, host in here.items() if host != most]
    return []


def _where(row: Row) -> Span:
    return row["zone"] or ", ".join(row["hosts"]) or "–", "dim"
