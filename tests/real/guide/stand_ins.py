"""Programs of the guide that are others on a bed. The guide says of each why, in its last section."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.real.bed.command import PROGRAM
from tests.real.guide import systemctl

TO = ".to"  # in a parcel: where it goes. It is written last

STAND_INS = {
    "systemctl": 'exec {control} "$@"',
    "journalctl": 'exec {control} journalctl "$@"',
    # Each installation once: the packages are the machine's, and the same for all hosts.
    "apt-get": """\
once={programs}/$(echo "$*" | md5sum | cut -c1-32)
test -e $once || /usr/bin/apt-get --simulate --quiet=2 "$@"
touch $once
""",
    "scp": """\
parcel=$(mktemp -d {post}/XXXXXX)
while [ $# -gt 1 ]; do
    [ "$1" = -p ] || cp -p "$1" $parcel/
    shift
done
echo "$1" > $parcel/{to}
""",
}


def write(programs: Path, post: Path) -> None:
    """Into this folder, which is made. What scp is given waits in ``post``."""
    programs.mkdir()
    words = {"control": f"{shlex.join(PROGRAM)} {systemctl.__file__}", "programs": programs, "post": post, "to": TO}
    for name, text in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\nset -e\n{text.format(**words)}")
        (programs / name).chmod(0o755)
