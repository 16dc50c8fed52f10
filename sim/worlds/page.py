"""docs/both-worlds.md: what was played in both worlds, whether it was the same, and what the simulator was set to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from drivers.sim.physics import BED, SERVERS
from sim.expect import Met
from sim.report import table
from sim.worlds.compare import SECONDS, SHARE, Thing
from sim.worlds.measures import taken

_BEGIN = """\
A scenario file is played unchanged by the simulator and on [three real hosts](real-bed.md) with libvirt, QEMU and iSCSI. The
same reader follows the store's changes in both, and the same code judges what the file expects. This page is written by the
first of these commands; the others play one file on the bed, as root in a checkout, and in the simulator.

```sh
make both-worlds
.venv/bin/ave real run scenarios/both/power.yaml
.venv/bin/ave sim run scenarios/both/power.yaml
```"""
_READING = """\
Things are VMs, hosts, volumes and Jobs whose state changes; those that stay as they are must be the same too. A moment is one
change. It may come {seconds:g} s and {share:.0%} earlier or later than on the bed, counted from the entry of the timeline
before it; "widest" is the one that comes nearest to that, or goes beyond it. Jobs that come by the clock are left out: the
bed's clock is not at zero when a story begins. What waits for a look that comes every few seconds, at lost workers every 7 s,
waits for a time that is chance in both worlds; a file's seed is then one from the middle.

What the bed cannot play, such as a fault without a row in [faults.py](../tests/real/both/faults.py), it refuses before anything
is started, with all reasons."""
_APART = """\
Four stories in [scenarios/apart](../scenarios/apart), three of them of a migration that is struck in the middle of its copying,
are not in the table. Both worlds end them well, but not alike:

- **The source's node is killed.** libvirt copies on without it. The memory is then complete on the target, where it stands
  still until the Job's next attempt brings it back and sends it again: the same states, after 25 to 30 s instead of 9. In the
  simulator the copying ends with the node, and the VM runs on where it was.
- **The target loses its power.** The source's libvirt learns that by its keepalive, after 8 s, and each question to the target
  takes as long again: the Job fails after a minute. In the simulator it is known at once.
- **The source loses its power.** Whether the rescue or the end of the migration's Job comes first depends on when its silence
  is looked at, every 7 s. If it is the rescue, it fails for the Job's lock, and comes again 10 s later. Seeds of the simulator
  do either; the bed did what most of them do.
- **A node hangs** for as long as its guard lets it, 15 s, which is as long as it takes to be suspect. Of two runs on the bed
  one had its host suspect for 3 s, as in the simulator, and one did not.

Of four runs of storage-gone one differed: when the storage was back, the host without VMs was fenced, recovered and online
again within the same tenth of a second."""
_SET = """\
With `hardware: bed` in its topology a scenario has the times of the bed, and with `servers`, the default, those of servers
with KVM: `BED` and `SERVERS` in [physics.py](../drivers/sim/physics.py). What the bed took, and what the simulator takes when
it is so set, by the changes of the store in both:"""


class Compared(msgspec.Struct, frozen=True):
    """One scenario in both worlds."""

    file: str  # from the checkout's folder on
    name: str
    description: str
    things: list[Thing]
    simulated: list[Met]
    real: list[Met]

    @property
    def same(self) -> bool:
        return all(thing.passed for thing in self.things)

    @property
    def met(self) -> bool:
        return all(met.passed for met in (*self.simulated, *self.real))

    @property
    def passed(self) -> bool:
        return self.same and self.met


def summary(compared: Sequence[Compared]) -> str:
    good = sum(each.passed for each in compared)
    ordered = sum(all(thing.same_order for thing in each.things) for each in compared)
    return (
        f"{len(compared)} scenarios in both worlds: {ordered} with the same states in the same order, "
        f"{good} of them at the same times, with all that they expect."
    )


def line(compared: Compared) -> str:
    """What came of one, for a terminal."""
    wrong = [*_differences(compared)]
    verdict = "the same" if not wrong else "; ".join(wrong)
    return f"{compared.name}: {_moments(compared)} moments of {_moved(compared)} things: {verdict}"


def page(compared: Sequence[Compared]) -> str:
    rows = [
        (
            f"[{each.name}](../{each.file})",
            each.description,
            str(_moved(each)),
            str(_moments(each)),
            "equal" if all(thing.same_order for thing in each.things) else "**differs**",
            _widest(each),
            f"{sum(met.passed for met in (*each.simulated, *each.real))} of {len(each.simulated) + len(each.real)}",
        )
        for each in compared
    ]
    differences = "\n".join(f"- **{each.name}**: {wrong}" for each in compared for wrong in _differences(each))
    parts = [
        "# One file, two worlds",
        _BEGIN,
        f"**{summary(compared)}**",
        table(("scenario", "what happens", "things", "moments", "order", "widest", "expected"), rows),
        differences,
        _READING.format(seconds=SECONDS, share=SHARE),
        "## Where the worlds differ",
        _APART,
        "## What the simulator was set to",
        _SET,
        table(("what", "measured in", "on the bed", "simulated", "sets"), list(_measured(compared))),
        table(("constant", "`servers`", "`bed`"), list(_constants())),
        "## Moment by moment",
        "Simulated seconds / seconds on the bed.",
        *(part for each in compared for part in (f"### {each.name}", _history(each))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _moved(compared: Compared) -> int:
    return sum(len(thing.simulated) > 1 or not _standing(thing) for thing in compared.things)


def _standing(thing: Thing) -> bool:
    return bool(thing.simulated) and thing.simulated[0].at <= 0.0


def _moments(compared: Compared) -> int:
    return sum(len(thing.pairs) for thing in compared.things)


def _widest(compared: Compared) -> str:
    pairs = [(pair.apart / pair.allowed, pair, thing.what) for thing in compared.things for pair in thing.pairs]
    if not pairs:
        return "–"
    _, pair, what = max(pairs, key=lambda each: each[0])
    text = f"{pair.apart:.1f} s of {pair.allowed:.1f} s: {what} {pair.state}"
    return text if pair.near else f"**{text}**"


def _differences(compared: Compared) -> Iterator[str]:
    for thing in compared.things:
        if not thing.same_order:
            one, other = (
                " → ".join(m.state for m in moments) or "nothing" for moments in (thing.simulated, thing.real)
            )
            yield f"{thing.what} is simulated {one}; on the bed {other}"
        for pair in thing.pairs:
            if not pair.near:
                yield f"{thing.what} {pair.state} at {pair.simulated:.1f} s, on the bed at {pair.real:.1f} s"
    for world, all_met in (("simulated", compared.simulated), ("on the bed", compared.real)):
        yield from (f"{met.what}, {world}: {met.found}" for met in all_met if not met.passed)


def _measured(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for each in taken({one.name: one.things for one in compared}):
        measure = each.measure
        steps = f"{measure.first} to {measure.then}" if measure.first else f"until {measure.then}"
        source = f"{measure.scenario}: {measure.what}, {steps}"
        yield measure.phrase, source, _seconds(each.real), _seconds(each.simulated), f"`{measure.sets}`"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _constants() -> Iterator[tuple[str, ...]]:
    for name in BED.__struct_fields__:
        yield f"`{name}`", _shown(getattr(SERVERS, name)), _shown(getattr(BED, name))


def _shown(value: Any) -> str:
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:g}"


def _history(compared: Compared) -> str:
    rows = [(thing.what, _steps(thing)) for thing in compared.things if thing.pairs or not thing.same_order]
    return table(("what", "states"), rows)


def _steps(thing: Thing) -> str:
    if not thing.same_order:
        return "**the orders differ**"
    begin = [thing.simulated[0].state] if _standing(thing) else []
    steps = [f"{pair.state} {pair.simulated:.1f} / {pair.real:.1f}" for pair in thing.pairs]
    return " → ".join([*begin, *steps])
