"""A replica set of MongoDB on the bed: a mongod on each host, on its management network, as an operator would have it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.mongod import Cluster, Member
from tests.real.bed import Bed, Host

PORT = 27017
OPLOG_MB = 64
ELECTION = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


class HostMember(Member):
    """It ends with its host, and keeps its data, as on a disk."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.folder / "mongod", (), {}, OPLOG_MB)
        self._host, self.ip, self.port = host, host.address, PORT

    @property
    def host(self) -> Host:
        return self._host

    def _run(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        nothing = subprocess.DEVNULL
        return self._host.run(argv, stdin=nothing, stdout=nothing, stderr=nothing)


class ReplicaSet(Cluster):
    def __init__(self, members: Sequence[HostMember]) -> None:
        super().__init__(members)
        self.on_hosts = tuple(members)

    def leader(self) -> HostMember:
        """Who is primary, with a majority behind it; waits for an election."""
        return self.on_hosts[self.primary()]


@contextmanager
def replica_set_on(bed: Bed) -> Iterator[ReplicaSet]:
    made = ReplicaSet([HostMember(host) for host in bed.hosts])
    try:
        for member in made.members:
            member.start()
        made.initiate(**ELECTION)
        yield made
    finally:
        for member in made.members:
            member.kill()
