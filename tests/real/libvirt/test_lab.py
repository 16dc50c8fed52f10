"""Nothing of the lab stays on the machine, also when a run of it is killed with all that it started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.real.bed import processes, registry
from tests.real.bed.sweep import of_number, of_root, sweep

MAKER = """
import sys, time
from pathlib import Path
from tests.real.libvirt.lab import LibvirtLab
LibvirtLab(Path(sys.argv[1])).reset()
print("up", flush=True)
time.sleep(600)
"""


def test_a_sweep_leaves_nothing_of_a_lab_that_was_killed(tmp_path: Path) -> None:
    root = tmp_path / "hosts"
    command = [sys.executable, "-c", MAKER, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as maker:
        try:
            assert maker.stdout is not None
            assert maker.stdout.readline() == b"up\n"
            (number,) = (record.bed for record in registry.records() if record.root == str(root))
            assert {"libvirtd", "tgtd"} <= {processes.program(pid) for pid in inside(number)}
        finally:
            os.killpg(maker.pid, signal.SIGKILL)
    assert inside(number), "the hosts have sessions of their own"
    sweep()
    assert not [*of_number(number), *of_root(root)]


def inside(bed: int) -> list[int]:
    """Processes of that bed."""
    words = (what.split() for what in of_number(bed))
    return [int(pid) for kind, pid, *_ in words if kind == "process"]
