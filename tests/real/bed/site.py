"""A bed's number, folder and one network, for a lab that needs less than a bed: it leaves as little behind as a bed does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.real.bed import maker, registry, sweep
from tests.real.bed.command import run

LAB = "lab"


class Site:
    """Whatever runs in its network ends with ``close``, and what is mounted in its folder goes with the folder.

    If its process is killed, the next bed, the next site or a sweep does it.
    """

    def __init__(self, root: Path, links: Iterable[str] = ()) -> None:
        sweep.sweep()
        with registry.locked():
            self._record = registry.claim(root)
        self.root = root
        name = self._record.names.namespace(LAB)
        self.network = Path("/run/netns", name)
        try:
            root.mkdir(mode=0o700, exist_ok=True)
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "-batch", "-", given="\n".join(["link set lo up", *links]) + "\n")
        except BaseException:
            self.close()
            raise

    def environ(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """For each program that is started here: by it a sweep knows those that have not entered the network yet."""
        return maker.environ(given)

    def close(self) -> None:
        sweep.take_down(self._record)
        with registry.locked():
            sweep.close_if_empty()
