"""What a machine's supervisor does: whatever has died is started again a moment later, as long as the machine has power."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple

from tests.real.bed import BedError
from tests.real.cluster import RealCluster
from tests.real.replica_set import ReplicaSet

RESTART_SECONDS = 1.0
LOOK_SECONDS = 0.3
LIBVIRTD = ("/usr/sbin/libvirtd", "-d", "--listen")


class Service(NamedTuple):
    name: str
    runs: Callable[[], object]
    start: Callable[[], object]


class Supervisor:
    def __init__(self, cluster: RealCluster, replicas: ReplicaSet | None = None) -> None:
        self._cluster, self._replicas = cluster, replicas
        self._dead: dict[str, float] = {}  # since when
        self._busy = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def away(self) -> Iterator[None]:
        """It does nothing meanwhile: somebody has a hand on the power switch, say."""
        with self._busy:
            yield

    def dead(self) -> list[str]:
        return [service.name for service in self._services() if not service.runs()]

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._busy:
                for service in self._services():
                    try:
                        self._look(service)
                    except (BedError, OSError):
                        continue  # the next look

    def _services(self) -> Iterator[Service]:
        bed, cluster = self._cluster.bed, self._cluster
        yield Service("tgtd", lambda: bed.storage.pid, bed.storage.start)
        yield Service("storage", lambda: cluster.box_pid, cluster.start_box)
        for member in self._replicas.on_hosts if self._replicas else ():
            if member.host.pid:
                yield Service(f"{member.host.name}/mongod", partial(member.host.pids, "mongod"), member.launch)
        for host in bed.hosts:
            if host.pid:
                yield Service(f"{host.name}/libvirtd", partial(host.pids, "libvirtd"), partial(host.ask, LIBVIRTD))
                for what in ("node", "guard"):
                    runs, start = partial(cluster.pid, host, what), partial(cluster.start_one, host, what)
                    yield Service(f"{host.name}/{what}", runs, start)

    def _look(self, service: Service) -> None:
        if service.runs():
            self._dead.pop(service.name, None)
        elif monotonic() - self._dead.setdefault(service.name, monotonic()) >= RESTART_SECONDS:
            del self._dead[service.name]
            service.start()
