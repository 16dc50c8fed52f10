"""docs/real-faults.md: what was played on the bed, and what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.real.faults.play import Row
from tests.real.faults.table import FAULTS, Fault

TEMPLATE = Path(__file__).parent / "page.md"
PLACE = "{seen}"


def page(rows: Sequence[Row]) -> str:
    return TEMPLATE.read_text().replace(PLACE, "\n".join(_seen(rows)))


def summary(rows: Sequence[Row]) -> str:
    lost, stale = (sum(word in wrong for row in rows for wrong in row.wrongs) for word in ("lost: ", "stale: "))
    twice = sum(wrong.startswith("twice: ") for row in rows for wrong in row.wrongs)
    other = sum(bool(row.wrongs) for row in rows)
    played = len({row.fault for row in rows})
    return (
        f"{len(rows)} runs of {played} of {len(FAULTS)} faults: {lost} lost acknowledged writes, {stale} stale writes, "
        f"{twice} VMs that ran twice, {other} runs with anything that must not be."
    )


def _seen(rows: Sequence[Row]) -> Iterator[str]:
    yield summary(rows)
    yield ""
    yield "| fault | what is done | how it heals | what must be true after it | runs | whole again after | wrong |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for fault in FAULTS:
        yield _line(fault, [row for row in rows if row.fault == fault.name])
    for row in rows:
        for wrong in row.wrongs:
            yield ""
            yield f"- **{row.fault}** ({row.what}): {wrong.splitlines()[0]}"
    yield ""


def _line(fault: Fault, rows: Sequence[Row]) -> str:
    times = sorted(row.whole for row in rows)
    took = f"{times[0]:.0f} to {times[-1]:.0f} s" if times else "–"
    wrong = sum(bool(row.wrongs) for row in rows)
    words = (fault.name, fault.does, fault.heals, fault.after, len(rows), took, wrong)
    return f"| {' | '.join(str(word) for word in words)} |"
