"""Nothing of these tests stays on the machine, also when they are killed."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.real.storage.lab import until

MAKER = """
import time
from tests.real.storage.lab import Ground, IscsiLab
from tests.contracts.test_block import stamp
ground = Ground()
lab = IscsiLab(ground)
lab.box.create("disk", 1, stamp(1))
lab.box.attach("disk", "a", stamp(1))
print(ground.folder, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_box_is_gone_with_whoever_made_it(how):
    with subprocess.Popen([sys.executable, "-c", MAKER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as maker:
        assert maker.stdout is not None
        folder = Path(maker.stdout.readline().decode().strip())
        assert folder.is_dir()
        assert used(folder)
        maker.send_signal(how)
    assert until(lambda: not folder.exists() and not used(folder), 10.0), used(folder)


def used(folder):
    """Processes that know of it, and loop devices and mounts on it."""
    name, found = str(folder), []
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ", "mounts"):
            with suppress(OSError):
                if name.encode() in (process / file).read_bytes():
                    found.append(f"{process.name} {file}")
    loops = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True
    )
    return found + [line for line in loops.stdout.splitlines() if name in line]
