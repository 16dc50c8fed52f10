"""The architecture holds in every file, and each of its rules is seen to fail."""

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy import RULES, complaints, sizes

ROOT = Path(__file__).parents[1]
NOT_OURS = ("__pycache__", "build", "dist", "runs")
OURS_THOUGH_HIDDEN = (".ci", ".github")

# One row per thing a rule must catch: where, what, and the words of the complaint.
BAD = [
    ("ave/jobs/leader.py", "import drivers.sqlite", "ave must not import drivers"),
    ("ave/jobs/leader.py", "def f():\n    from sim import run", "ave must not import sim"),
    ("drivers/production.py", "from sim.cluster import Cluster", "drivers must not import sim"),
    ("sim/run.py", "import tui.app", "sim must not import tui"),
    ("tui/app.py", "from drivers import http", "tui must not import drivers"),
    ("drivers/production.py", "import tests.tidy", "drivers must not import tests"),
    ("drivers/production.py", "from ave.cli.main import main", "nobody imports ave.cli"),
    ("ave/node.py", "from ave import cli", "nobody imports ave.cli"),
    ("tui/app.py", "from ave.cli.demo import demo", "nobody imports ave.cli"),
    ("sim/run.py", "from ave.cli.remote import contexts", "nobody imports ave.cli"),
    ("ave/cli/sim.py", "from sim.run import run", "import sim inside the function"),
    ("ave/cli/main.py", "if True:\n    import drivers.production", "import drivers inside the function"),
    ("ave/model/vm.py", "from ave.ports import store", "ave.model must not import ave.ports"),
    ("ave/model/vm.py", "from ..runtime import Runtime", "ave.model must not import ave.runtime"),
    ("ave/placement/filters.py", "import ave.jobs.queue", "ave.placement must not import ave.jobs"),
    ("ave/jobs/leader.py", "from ave import vms", "ave.jobs must not import ave.vms"),
    ("ave/jobs/leader.py", "from .. import ha", "ave.jobs must not import ave.ha"),
    ("ave/vms/create.py", "from ave.ha.rescue import rescue", "ave.vms must not import ave.ha"),
    ("ave/errors.py", "from ave import runtime", "ave.errors must not import ave.runtime"),
    ("ave/brilliance.py", "", "add a row for brilliance"),
    ("ave/brilliance/idea.py", "", "add a row for brilliance"),
    ("ave/jobs/leader.py", "import asyncio", "asyncio is not for ave/"),
    ("ave/jobs/leader.py", "from time import monotonic", "time.monotonic is not for ave/"),
    ("ave/jobs/leader.py", "import os.path", "os.path is not for ave/"),
    ("ave/jobs/leader.py", "from random import Random", "random.Random is not for ave/"),
    ("ave/runtime.py", "from asyncio import sleep", "asyncio.sleep is not for ave/"),
    ("ave/runtime.py", "import random", "random is not for ave/"),
    ("ave/node.py", "import textual", "textual is not for ave/"),
    ("sim/workload.py", "from datetime import datetime", "datetime.datetime is not for a simulated world"),
    ("sim/workload.py", "from random import choice", "random.choice is not for a simulated world"),
    ("drivers/sim/block.py", "import random", "random is not for a simulated world"),
    ("drivers/sim/block.py", "def f():\n    import asyncio", "asyncio is not for a simulated world"),
    ("sim/run.py", "import uuid", "uuid is not for a simulated world"),
    ("drivers/sim/block.py", "import simpy", "only drivers/sim/runtime.py imports simpy"),
    ("sim/cluster.py", "from simpy.events import Event", "only drivers/sim/runtime.py imports simpy"),
    ("ave/ha/lease.py", "async def f():\n    try: x()\n    finally: await y()", "finally must not await"),
    ("sim/cluster.py", "async def f():\n  try: x()\n  finally:\n    async with y: z()", "finally must not await"),
    ("ave/jobs/queue.py", "async def f():\n    yield 1", "no async generators"),
    ("drivers/sim/store.py", "async def f():\n    return (x async for x in y)", "no async generators"),
    ("drivers/sim/store.py", "async def f():\n    return (await x for x in y)", "no async generators"),
    ("ave/jobs/dag.py", "for x in {1, 2}: f(x)", "a set has another order"),
    ("ave/jobs/dag.py", "async def f():\n    async for x in set(y): g(x)", "a set has another order"),
    ("ave/jobs/dag.py", "a = [x for x in set(y) - z]", "a set has another order"),
    ("ave/jobs/dag.py", "a = list(y | frozenset(z))", "a set has another order"),
    ("sim/faults/power.py", "a = [*{x for x in y}]", "a set has another order"),
    ("ave/jobs/queue.py", "key = hash(job)", "hash() differs from run to run"),
    ("sim/faults/power.py", "key = id(job)", "id() differs from run to run"),
    ("drivers/http/server.py", "try: f()\nexcept Exception: pass", "swallows every error"),
    ("ave/node.py", "try: f()\nexcept: ...", "swallows every error"),
    ("docs/guide.md", "Unpack it in " + "/ho" + "me/me/ave.", "an absolute path of one machine"),
    ("Makefile", "include " + "/wo" + "rk/rules.mk", "an absolute path of one machine"),
    ("ave/node.py", "# TO" + "DO: everything", "write a decision or an issue"),
]

# What looks like the above, and is right.
GOOD = [
    ("sim/cluster.py", "from ave.node import Node\nfrom drivers.sim.store import SimStore"),
    ("tests/unit/test_cli.py", "from ave.cli.main import main"),
    ("tui/source.py", "from ave.cli.remote import contexts\nfrom ave.cli.remote.failures import Failure"),
    ("ave/cli/main.py", "import os, asyncio\nfrom ave.errors import Refused\ndef f():\n    from sim.run import run"),
    ("ave/cli/main.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sim.run import Run"),
    ("ave/jobs/leader.py", "from . import dag\nfrom ..model import work\nfrom collections.abc import Sequence"),
    ("ave/runtime.py", "from asyncio import CancelledError as Cancelled\nfrom random import Random"),
    ("sim/workload.py", "from random import Random"),
    ("drivers/asyncio_runtime.py", "import asyncio, random, secrets\nasync def f():\n    yield id(3)"),
    ("drivers/sim/runtime.py", "import simpy"),
    ("tests/bench/simloop.py", "import simpy, time"),
    ("ave/ha/lease.py", "def f():\n    try: x()\n    finally:\n        async def g(): await y()"),
    ("ave/ha/lease.py", "async def f():\n    def g(): yield 1\n    return [x async for x in y]"),
    ("ave/jobs/dag.py", "for x in sorted({1, 2}): f(x)\nif y in {1, 2}: f(y)\nn = len(set(z))\nvm.id(x)"),
    ("drivers/http/server.py", "try: f()\nexcept Exception: log()\ntry: f()\nexcept KeyError: pass"),
    ("docs/guide.md", "https://example.org/work/1 and docs/work/ and mktemp ave.XX" + "XXXX"),
]


def our_files() -> Iterator[tuple[str, str]]:
    """Path and text of what is, or is about to be, in the repository. It asks the disk: git may not be installed."""
    for folder, inner, names in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if _ours(name))
        for name in sorted(names):
            path = Path(folder, name)
            try:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # an image or an archive


def _ours(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in OURS_THOUGH_HIDDEN
    return not hidden and folder not in NOT_OURS and not folder.endswith(".egg-info")


def test_every_file_keeps_the_architecture(record_property: Callable[[str, object], None]) -> None:
    found = []
    for path, source in our_files():
        found += complaints(path, source)
        for note in sizes(path, source) if path.endswith(".py") else []:
            record_property("note", f"grown long: {note}")
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("path", "source", "expected"), BAD)
def test_a_rule_catches_what_it_is_for(path: str, source: str, expected: str) -> None:
    assert any(expected in complaint for complaint in complaints(path, source)), complaints(path, source)


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_a_rule_lets_pass_what_is_right(path: str, source: str) -> None:
    assert complaints(path, source) == []


def test_no_rule_is_without_a_file_it_catches() -> None:
    trees = [(path, ast.parse(source)) for path, source, _ in BAD if path.endswith(".py")]
    assert [rule.__name__ for rule in RULES if not any(list(rule(*each)) for each in trees)] == []


def test_a_complaint_says_where() -> None:
    assert complaints("ave/node.py", "x = 1\nimport os\n")[0].startswith("ave/node.py:2: os is not for ave/")


def test_what_has_grown_long_is_named() -> None:
    module = "x = 1\n" * 330 + "def f():\n" + "    x = 1\n" * 70
    assert sizes("ave/node.py", module) == ["ave/node.py: 401 lines", "ave/node.py:331: f has 71 lines"]
    assert sizes("ave/node.py", "x = 1\n") == []
