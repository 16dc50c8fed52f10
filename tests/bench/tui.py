"""P18: the dashboard. What a refresh costs, how soon a key is seen, how soon all is open, and how soon another moment is.

Keys are typed at a pseudo-terminal of 160 × 50, and seen once the bytes of the cursor's new place have come out of it. The
simulation that runs meanwhile, the API and the screen share one process, one thread and one loop.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any, cast

import msgspec

from ave.cli.tui import prepare
from ave.kinds import KINDS
from ave.model.vm import VM, VMState
from drivers.rest.served import world_within
from sim.recorder import Recorder
from sim.recording import Recording
from sim.replay import Replay
from sim.serve import tell_bug
from sim.story import Story
from tests.bench.dashboard import scenario
from tests.bench.row import Row
from tests.bench.screen import Screen
from tests.bench.story import HOST_LOSS
from tui.app import Dashboard
from tui.model import Model, State
from tui.source import Api, Source

KEYS, IDLE_SECONDS, REFRESHES, SEEKS = 300, 20.0, 60, 60
PAIRS, OPENED = 6, 3
FIRST_ROW = 5  # of the terminal, of the list of VMs


def run(*, quick: bool = False) -> list[Row]:
    part = 5 if quick else 1
    # By turns: a machine may be a third faster half a minute later.
    pairs = [tuple(_refresh(vms, REFRESHES // PAIRS // part) for vms in (100, 10_000)) for _ in range(PAIRS)]
    ratio = median(many / few for few, many in pairs)
    pressed = sorted(_keys("max", KEYS // part))
    opened = [asyncio.run(_open(50_000)) for _ in range(OPENED)]
    sought = sorted(_seeks(SEEKS // part))
    return [
        Row(
            "P18",
            "a refresh that changes 100 of 100 VMs, CPU",
            1000 * median(few for few, _ in pairs),
            "ms",
            None,
            "less",
        ),
        Row("P18", "a refresh that changes 100 of 10,000, to it", ratio, "times", 1.5, "less"),
        Row("P18", "nothing happens, 10,000 VMs", 100 * _idle(IDLE_SECONDS / part), "% of a core", 8.0, "less"),
        Row("P18", "key to paint, 10,000 VMs, full speed, median", 1000 * median(pressed), "ms", None, "less"),
        Row("P18", "key to paint, the same, p99", 1000 * _at(pressed, 0.99), "ms", 50.0, "less"),
        Row("P18", "50,000 VMs open", median(opened), "s", 1.0, "less"),
        Row("P18", "ave demo, first paint", _first(), "s", 3.0, "less"),
        Row("P18", "an hour of 1,000 VMs: a moment sought, median", 1000 * median(sought), "ms", None, "less"),
        Row("P18", "the same, p99", 1000 * _at(sought, 0.99), "ms", 200.0, "less"),
    ]


def _at(sample: list[float], share: float) -> float:
    return sample[min(len(sample) - 1, int(share * len(sample)))]


class _Still:
    """A source that tells nothing: the model is fed by hand."""

    name, kind, extensions, read_only = "bench", "live", frozenset[str](), False

    async def run(self, model: Model) -> None:
        await asyncio.Event().wait()


def _vms(count: int) -> list[dict[str, Any]]:
    made = (
        VM(id=f"web-{number:05}", vcpus=1, memory_mib=4096, state=VMState.RUNNING, host=f"host-{number % 50}")
        for number in range(count)
    )
    return [cast("dict[str, Any]", msgspec.to_builtins(vm)) for vm in made]


@contextmanager
def _uncollected() -> Iterator[None]:
    """As ``ave tui`` has it: what is there from the start is not looked through again."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    prepare()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)


def _refresh(count: int, times: int) -> float:
    async def main() -> float:
        board = Dashboard(cast("Source", _Still()))
        docs = _vms(count)
        async with board.run_test(size=(160, 50)) as pilot:
            board.model.link(State.LIVE)
            board.model.feed("reset", {"vm": docs}, monotonic())
            board.model.flush()
            await pilot.press("2")
            took = []
            for number in range(times):
                news = [{**doc, "memory_mib": 4096 + number} for doc in docs[:100]]
                board.model.feed("delta", {"vm": news}, monotonic())
                await asyncio.sleep(0.6)  # what is sorted is sorted twice a second at most
                began = process_time()
                board.model.flush()
                board._due = 0.0
                board.tick()
                await pilot.pause(0)
                took.append(process_time() - began)
        return median(took)

    with _uncollected():
        return asyncio.run(main())


def _keys(speed: str, times: int) -> list[float]:
    """Down the list and up again, at uneven intervals."""
    draw = random.Random(1)
    with Screen([sys.executable, "-m", "tests.bench.dashboard", "10000", speed]) as screen:
        screen.until("VMs")
        screen.read_for(4.0)
        screen.type("2")
        screen.read_for(3.0)
        took, row = [], FIRST_ROW
        for number in range(times):
            down = number // 30 % 2 == 0
            row += 1 if down else -1
            took.append(screen.press("j" if down else "k", row))
            screen.read_for(draw.uniform(0.02, 0.12))
        return took


def _idle(seconds: float) -> float:
    """Of one core, while the world stands still and the screen goes on."""
    with Screen([sys.executable, "-m", "tests.bench.dashboard", "10000", "1"]) as screen:
        screen.until("VMs")
        screen.type("p")
        screen.read_for(5.0)
        used, began = screen.cpu(), monotonic()
        screen.read_for(seconds)
        return (screen.cpu() - used) / (monotonic() - began)


def _first() -> float:
    with Screen([sys.executable, "-m", "ave.cli.main", "demo"]) as screen:
        return screen.until("HEALTHY")


async def _open(count: int) -> float:
    """From the first word with an API that has them all until the list is drawn: what the world took to begin is its own."""
    with TemporaryDirectory() as folder:
        recording = _recorded(Path(folder, "events.jsonl.gz"), count)
        async with world_within(Replay(recording), speed=1.0, paused=True, bug=tell_bug) as transport:
            with _uncollected():
                began = monotonic()
                source = Api("bench", ("http://localhost",), transport=transport)
                board = Dashboard(source)
                async with board.run_test(size=(160, 50)) as pilot:
                    await pilot.press("2")
                    while len(board.model.docs["vm"]) < count:
                        await asyncio.sleep(0.005)
                    board._due = 0.0
                    board.tick()
                    await pilot.pause(0)
                    took = monotonic() - began
                await source.close()
    return took


def _recorded(path: Path, count: int) -> Recording:
    """Of the first moment of a cluster."""
    with Recorder(path, KINDS, lambda: 0.0) as recorder, Story(scenario(count), seed=1, recorder=recorder) as story:
        story.begin()
    return Recording(path)


def _seeks(times: int) -> list[float]:
    """Seconds from a wish until the model shows that moment, by the API, over one recorded hour."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "events.jsonl.gz")
        now: Callable[[], float] = lambda: 0.0  # noqa: E731 - the world's, as soon as there is one
        with (
            Recorder(path, KINDS, lambda: now()) as recorder,
            Story(HOST_LOSS, seed=1, recorder=recorder) as story,
        ):
            now = lambda: story.cluster.world.now  # noqa: E731
            story.play()
        with _uncollected():
            return asyncio.run(_sought(Replay(Recording(path)), times))


async def _sought(world: Replay, times: int) -> list[float]:
    draw = random.Random(1)
    async with world_within(world, speed=1.0, paused=True, bug=tell_bug) as transport:
        source, model = Api("bench", ("http://localhost",), transport=transport), Model()
        running = asyncio.ensure_future(source.run(model))
        while not model.docs["vm"]:
            await asyncio.sleep(0.005)
        took = []
        for _ in range(times):
            resets, began = model.resets, monotonic()
            await source.set_clock(at=draw.uniform(world.begin, world.end))
            while model.resets == resets:
                await asyncio.sleep(0.002)
            took.append(monotonic() - began)
            await asyncio.sleep(0.3)
        running.cancel()
        await source.close()
    return took
