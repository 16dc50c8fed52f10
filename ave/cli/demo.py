"""``ave demo``: the dashboard on a simulated cluster; or, as text, the story of one that loses a host under load."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ave.cli.screen import Interrupt, complain

if TYPE_CHECKING:
    from sim.story import Story

SLICE_SECONDS = 0.5  # simulated, between two looks at the real clock
SPEED = 25.0  # simulated seconds per real one, on a terminal


def demo(*, seed: int | None = None, speed: float | None = None, story: bool = False, out: Path | None = None) -> int:
    """Look at a simulated six-host cluster under load: the real control plane, simulated hardware. ! lets something befall it.

    Without a terminal, or with --story, it is told as text how such a cluster loses a host and saves its VMs.

    Parameters
    ----------
    seed
        Another seed is another story.
    speed
        Simulated seconds per real one; in the story 0 is as fast as it goes. 25 on a terminal, else 0.
    story
        As text, on a terminal too.
    out
        Keep the recording of what is seen in this directory: ave tui --run shows it again.
    """
    from ave.cli.tui import at_terminal, show, simulated

    if story or not at_terminal():
        return _tell(seed, speed)
    from ave.cli.remote.failures import Failure
    from ave.cli.remote.failures import complain as say
    from sim.shown import demo as scenario

    try:
        return show(simulated("demo", scenario(), seed=seed, speed=speed or SPEED, out=out))
    except Failure as failure:
        return int(say(failure))


def _tell(seed: int | None, speed: float | None) -> int:
    print("ave demo: the control plane of production, on a simulated cluster", flush=True)
    import sim as simulator
    from sim.report import verdict
    from sim.scenario.load import load
    from sim.story import Story
    from sim.tables import CATALOGUE

    file = Path(simulator.__file__).parents[1] / "scenarios" / "ha" / "demo.yaml"
    if not file.is_file():
        return complain(f"{file} is missing: install ave again")
    scenario = load(file, CATALOGUE)
    pace = speed if speed is not None else SPEED if sys.stdout.isatty() else 0.0
    teller = Teller()
    began = time.monotonic()

    def wait(now: float, end: float) -> None:
        if pace and (ahead := now / pace - (time.monotonic() - began)) > 0:
            time.sleep(ahead)

    with (
        Interrupt().listening() as interrupt,
        Story(scenario, seed=scenario.seed if seed is None else seed, tell=teller.tell) as story,
    ):
        teller.begin(story)
        outcome = story.play(progress=wait, stop=interrupt, slice_seconds=SLICE_SECONDS)
        teller.end()
        took = time.monotonic() - began
        speedup = outcome.simulated_seconds / max(took, 1e-9)
        steps = story.cluster.world.steps
    print(f"\n{verdict(outcome)} · seed {outcome.seed}")
    print(f"{outcome.simulated_seconds:.0f} s in {took:.1f} s (×{speedup:,.0f}), {steps:,} events")
    armed = ", ".join(id for id, count in outcome.armed.items() if count)
    print(f"Promises put at stake and kept: {armed}. Same seed, same story; another one: {sys.argv[0]} demo --seed 3")
    return outcome.exit_code


class Teller:
    """Turns what the cluster says into lines that a newcomer can follow. ``SENTENCES`` is the table."""

    def __init__(self) -> None:
        self._story: Story | None = None
        self._lost_at = 0.0
        self._back = 0

    def begin(self, story: Story) -> None:
        self._story = story
        story.cluster.listeners.append(self._saw)

    def tell(self, at: float, process: str, event: str, fields: dict[str, Any]) -> None:
        sentence = SENTENCES.get(event)
        line = sentence(self, process, fields) if sentence is not None else ""
        if line:
            self.say(at, line)

    def say(self, at: float, line: str) -> None:
        minutes, seconds = divmod(at, 60)
        print(f"{int(minutes):02d}:{seconds:04.1f}  {line}", flush=True)

    def end(self) -> None:
        self.say(self._now(), "the end:")
        print(self.hosts(), flush=True)

    def hosts(self) -> str:
        """Every host with a dot per VM that runs there."""
        assert self._story is not None
        lines = []
        for name, machine in self._story.cluster.machines.items():
            dots = "".join("○" if guest.state != "running" else "●" for guest in machine.guests.values())
            lines.append(f"         {name} {dots}" if machine.powered else f"         {name} ✕ no power")
        return "\n".join(lines)

    def fault(self, process: str, fields: dict[str, Any]) -> str:
        assert self._story is not None
        host = fields["hosts"]
        self._lost_at = self._now()
        down = sum(1 for _ in self._story.cluster.machines[host].guests)
        return f"↯ {host} loses power, and {down} VMs with it; nobody knows yet\n{self.hosts()}"

    def judged(self, process: str, fields: dict[str, Any]) -> str:
        host, state, why = fields["host"], fields["state"], fields["why"]
        if state == "suspect":
            return f"▲ {host} is suspect ({why}): nothing new is placed there"
        if state == "fenced":
            return f"✕ {host} is judged dead ({why}): its storage lease is revoked, what it ran may start elsewhere"
        return f"· {host} is {state} ({why})"

    def _saw(self, fact: Any) -> None:
        if type(fact).__name__ == "Started" and fact.job.startswith("ha."):
            self._back += 1
            after = self._now() - self._lost_at
            self.say(
                self._now(), f"● {fact.vm} runs again, on {fact.host}, {after:.1f} s after the loss; epoch {fact.epoch}"
            )

    def _now(self) -> float:
        assert self._story is not None
        return self._story.cluster.world.now


def _begins(teller: Teller, process: str, fields: dict[str, Any]) -> str:
    operation = fields["job"].rpartition("-")[0]
    return f"◐ {fields['job']} begins: {fields['tasks']} tasks" if operation != "vm.delete" else ""


def _ends(teller: Teller, process: str, fields: dict[str, Any]) -> str:
    if fields["job"].startswith("vm.delete"):
        return ""
    return f"✓ {fields['job']} is done" if fields["state"] == "done" else f"✕ {fields['job']} failed: {fields['why']}"


SENTENCES: dict[str, Callable[[Teller, str, dict[str, Any]], str]] = {
    "role taken": lambda t, p, f: (
        f"★ {p.partition('/')[0]} is the Active VM Scheduler" if f["role"] == "scheduler" else ""
    ),
    "host-crash": Teller.fault,
    "host-crash ends": lambda t, p, f: f"· {f['hosts']} has power again and boots",
    "host judged": Teller.judged,
    "rescue submitted": lambda t, p, f: f"◐ rescue of {f['vms']} VMs of {f['hosts'].replace(',', ', ')} is submitted",
    "host joins": lambda t, p, f: f"· {p.partition('/')[0]} joins with nothing running, and accepts VMs again",
    "job begins": _begins,
    "job ends": _ends,
    "meta leader lost": lambda t, p, f: "▲ the storage's meta leader is lost; I/O goes on",
    "meta leader elected": lambda t, p, f: f"· {f['host']} now leads the storage",
    "primary lost": lambda t, p, f: "▲ the store has lost its primary; work waits, VMs run on",
    "primary elected": lambda t, p, f: f"· {f['host']} is the store's new primary",
    "work recovered": lambda t, p, f: (
        f"· {f['work']} was left behind by a lost worker: {f['state']} in lane {f['lane']}"
    ),
}
