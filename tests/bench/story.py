"""A recorded hour of fifty hosts and a thousand VMs against the clock on the wall, and the demo's first and last line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, process_time

from ave.kinds import KINDS
from sim.recorder import Recorder
from sim.scenario.model import Event, Fleet, Forever, Metadata, Scenario, Shape, Target, Topology
from sim.story import Story
from tests.bench.row import Row

IDS = ("STORY", "DEMO")
HOUR = 3600.0
REAL_TIME_GOAL = 500.0
FIRST_LINE_GOAL, WHOLE_GOAL = 2.0, 30.0

HOST_LOSS = Scenario(
    metadata=Metadata("bench"),
    mode="cluster",
    seed=1,
    duration=HOUR,
    topology=Topology((Shape(50, 64, 256 * 1024, 8 * 1024),), 5, {}, ("vm-net",)),
    workload=(Fleet("web", 1000, 2, 4096, 20 * 2**30, True, "medium", Forever()),),
    timeline=(Event(600.0, "fault", "host-crash", Target(names=("host-07",))),),
)


def run(*, quick: bool = False) -> list[Row]:
    runs = 1 if quick else 5
    speed = median(HOUR / _recorded() for _ in range(runs))
    first, whole = (median(times) for times in zip(*(_demo() for _ in range(runs)), strict=True))
    return [
        Row("STORY", "50 hosts, 1,000 VMs, an hour with a host loss", speed, "× real time", REAL_TIME_GOAL, "more"),
        Row("DEMO", "ave demo, first line", first, "s", FIRST_LINE_GOAL, "less"),
        Row("DEMO", "ave demo, whole", whole, "s", WHOLE_GOAL, "less"),
    ]


def _recorded() -> float:
    """CPU seconds of the hour with oracle, metrics and recording, as ``ave sim run --out`` has it."""
    with TemporaryDirectory() as folder:
        now: Callable[[], float] = lambda: 0.0  # noqa: E731 - the world's, as soon as there is one
        start = process_time()
        with (
            Recorder(Path(folder, "events.jsonl.gz"), KINDS, lambda: now()) as recorder,
            Story(HOST_LOSS, seed=1, recorder=recorder) as story,
        ):
            now = lambda: story.cluster.world.now  # noqa: E731
            outcome = story.play()
        seconds = process_time() - start
    assert outcome.passed, "a rescue that goes wrong is no measure"
    return seconds


def _demo() -> tuple[float, float]:
    """Seconds on the wall until its first line, and until its end."""
    start = monotonic()
    command = [sys.executable, "-m", "ave.cli.main", "demo", "--speed", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        first = monotonic() - start
        demo.stdout.read()
    assert demo.returncode == 0
    return first, monotonic() - start
