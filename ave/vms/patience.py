"""How patient the Job Center is with each kind of task of a VM: one table, with the reason of each line.

``seconds`` cut off one try, which then has failed. ``tries`` count only while something is unavailable: the pauses between
them double from 0.5 s up to 60 s, so that 6 tries last about 15 s, 12 about 5 minutes and 21 about 14.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ave.jobs.verb import Function, TaskKind

SHUTDOWN_SECONDS_MAX = 3600.0  # the longest that a user may give a guest


class Patience(NamedTuple):
    seconds: float
    tries: int
    stoppable: bool = False  # half way, when its Job is cancelled; what it leaves is undone


# fmt: off
PATIENCE: Mapping[str, Patience] = {
    # A LUN takes milliseconds and a VM may have 64. Its user waits, and nothing is lost when it is given up and undone.
    "vm.make-volumes": Patience(300.0, 12, stoppable=True),
    # What is to leave nothing behind outlasts a storage that is away for 10 minutes: nobody else would clean up.
    "vm.discard": Patience(300.0, 21),
    "vm.delete": Patience(300.0, 21),
    # A rescue waits for its slowest start, and the VM Monitor tries again by itself: rather soon elsewhere than late here.
    "vm.start": Patience(120.0, 6, stoppable=True),
    # The guest's own time, and a margin for the rest. Its users may change their minds meanwhile.
    "vm.shutdown": Patience(SHUTDOWN_SECONDS_MAX + 120.0, 6, stoppable=True),
    "vm.restart": Patience(SHUTDOWN_SECONDS_MAX + 240.0, 6, stoppable=True),
    "vm.reset": Patience(240.0, 6),
    # A kill is a kill; a process that hangs in a lost disk's I/O goes when that times out.
    "vm.poweroff": Patience(60.0, 12),
    "vm.suspend": Patience(60.0, 6),
    "vm.resume": Patience(60.0, 6),
    # One look and one commit, in place of a task that came to no end: the VM's state is open until then.
    "vm.settle": Patience(120.0, 12),
    # Each volume takes a round trip to the storage and one to the guest. Both ways are safe; back must not fail.
    "vm.edit": Patience(300.0, 6),
    "vm.unedit": Patience(300.0, 12),
    # A TiB at 10 Gbit/s copies for a quarter of an hour, more when it is busy. Each try is a whole copy: two are enough.
    "vm.migrate": Patience(4 * 3600.0, 2, stoppable=True),
    # While it is not decided where the VM is, it may stand still: nothing is more important to end, nor lasts longer.
    "vm.abort-migration": Patience(600.0, 21),
    "vm.assign": Patience(60.0, 6),
}
# fmt: on


def tasks(**functions: Function) -> dict[str, TaskKind]:
    """The kinds of a verb's tasks, by name: ``start=…`` is the function of vm.start."""
    kinds = {}
    for word, function in functions.items():
        name = "vm." + word.replace("_", "-")
        seconds, tries, stoppable = PATIENCE[name]
        kinds[name] = TaskKind(function=function, seconds=seconds, tries=tries, stoppable=stoppable)
    return kinds
