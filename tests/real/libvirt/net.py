"""Programs in one network, each in a mount namespace of its own with its host's folders."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.real.bed.site import Site

INIT = """
set -e
hostname {host}
mount --make-rprivate /
for each in run:/run etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
    mount --bind {folder}/${{each%%:*}} ${{each#*:}}
done
exec {command}
"""


class Net:
    def __init__(self, root: Path, addresses: Iterable[str], bridges: Iterable[str]) -> None:
        links = [f"address add {address}/32 dev lo" for address in addresses]
        links += [each for bridge in bridges for each in (f"link add {bridge} type bridge", f"link set {bridge} up")]
        self._site = Site(root, links)

    def start(self, folder: Path, host: str, command: str) -> subprocess.Popen[bytes]:
        for name in ("run/libvirt", "run/tgtd", "run/lock", "etc", "lib/images", "log/qemu", "cache"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        script = INIT.format(host=host, folder=folder, command=command)
        words = ["nsenter", f"--net={self._site.network}", "unshare", "--mount", "--uts", "sh", "-c", script]
        return self.enter(words, folder)

    def enter(self, words: list[str], folder: Path) -> subprocess.Popen[bytes]:
        """A command that finds its own way in."""
        with (folder / "log/console.log").open("ab") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._site.environ(),
            )

    def close(self) -> None:
        self._site.close()
