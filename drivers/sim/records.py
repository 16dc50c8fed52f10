"""What is on a simulated volume: the numbered records that its VMs wrote, kept as runs of consecutive numbers."""

from __future__ import annotations

import msgspec

RUNS_KEPT = 16  # a run ends when the VM's epoch does, so that is a history of so many restarts


class Run(msgspec.Struct):
    """Records of one VM under one epoch, from the first to the last without a gap."""

    vm: str
    epoch: int
    first: int
    last: int


class Records:
    """In the order in which they were written. One that is written again is where it was."""

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def put(self, vm: str, epoch: int, record: int) -> None:
        if self.runs:
            run = self.runs[-1]
            if run.epoch == epoch and run.vm == vm:
                if record == run.last + 1:
                    run.last = record
                    return
                if run.first <= record <= run.last:
                    return
        self.runs.append(Run(vm, epoch, record, record))
        del self.runs[:-RUNS_KEPT]

    def last(self, vm: str) -> int:
        """The newest record that the VM finds there."""
        return next((run.last for run in reversed(self.runs) if run.vm == vm), 0)
