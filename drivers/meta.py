"""The storage's meta service as one file: storage leases, and who leads. Every method here blocks, and is a thread's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ave.errors import Refused, Unavailable
from ave.ports.block import Grant, Lease
from drivers import disk

SILENT_SECONDS = 10.0  # a meta leader that did not renew for so long under somebody's eyes is replaced


class Held(msgspec.Struct, frozen=True):
    boot: str
    counter: int = 0
    revoked: bool = False
    turn: int = 1


class Meta(msgspec.Struct, frozen=True):
    leader: str = ""
    term: int = 0
    leases: dict[str, Held] = {}


class MetaService:
    """One process's access to it. ``now``: that process's own clock."""

    def __init__(self, root: Path, host: str, now: Callable[[], float]) -> None:
        folder = root.absolute() / "storage"
        self._path, self._lock = folder / "meta.json", folder / "meta.lock"
        self._host, self._now = host, now
        self._seen: tuple[str, int, Held | None] | None = None  # the leader's lease as it last changed
        self._since = self._looked = 0.0
        self._aside_until = 0.0  # until then this process leads only if nobody else wants to

    def join(self, host: str, boot: str) -> None:
        with self._locked() as meta:
            held = meta.leases.get(host)
            if held is None or held.boot != boot or held.revoked:
                # neither goes back, or a watcher would take a new lease for an old silence
                new = Held(boot, held.counter + 1, turn=held.turn + 1) if held else Held(boot)
                self._write(_with(meta, host, new))

    def renew(self, host: str, boot: str, *, may_lead: bool, anew: bool = False) -> Grant:
        with self._locked() as meta:
            held = meta.leases.get(host)
            if held is None or held.boot != boot or held.revoked:
                raise Refused(f"the storage lease of {host} was revoked")
            held = msgspec.structs.replace(held, counter=held.counter + 1, turn=held.turn + anew)
            meta = _with(meta, host, held)
            if self._leader_is_wanted(meta) and may_lead:
                meta = msgspec.structs.replace(meta, leader=host, term=meta.term + 1)
            self._write(meta)
            return Grant(meta.leader, meta.term, held.turn)

    def leases(self) -> tuple[Lease, ...]:
        with self._locked() as meta:
            if meta.leader != self._host:
                raise Unavailable(f"{self._host} does not lead the storage's meta service")
            return tuple(Lease(host, held.counter, held.revoked, held.turn) for host, held in meta.leases.items())

    def revoke(self, host: str, counter: int) -> None:
        with self._locked() as meta:
            held = meta.leases.get(host)
            if held is None or held.revoked:
                return
            if held.counter != counter:
                raise Refused(f"{host} renewed its storage lease meanwhile")
            self._write(_with(meta, host, msgspec.structs.replace(held, revoked=True)))

    def step_aside(self, seconds: float) -> None:
        with self._locked() as meta:
            if meta.leader != self._host:
                raise Unavailable(f"{self._host} does not lead the storage's meta service")
            if not any(host != self._host and not held.revoked for host, held in meta.leases.items()):
                raise Refused("no other host of the storage's meta service can lead")
            self._aside_until = self._now() + seconds
            self._write(msgspec.structs.replace(meta, leader="", term=meta.term + 1))

    def _leader_is_wanted(self, meta: Meta) -> bool:
        """Is there none, or has it not renewed while this process was looking, without a gap?"""
        now = self._now()
        seen = (meta.leader, meta.term, meta.leases.get(meta.leader))
        if seen != self._seen or now - self._looked > SILENT_SECONDS:
            self._seen, self._since = seen, now
        self._looked = now
        if now < self._aside_until:
            return now - self._since >= 2 * SILENT_SECONDS  # others are quicker
        return not meta.leader or now - self._since >= SILENT_SECONDS

    @contextmanager
    def _locked(self) -> Iterator[Meta]:
        with disk.locked(self._lock, "the storage's meta service"):
            yield self._read()

    def _read(self) -> Meta:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Meta)
        except FileNotFoundError:
            return Meta()
        except disk.DAMAGED as error:
            raise Unavailable(f"the storage's leases cannot be read: {error}") from error

    def _write(self, meta: Meta) -> None:
        disk.replace(self._path, msgspec.json.encode(meta))


def _with(meta: Meta, host: str, held: Held) -> Meta:
    return msgspec.structs.replace(meta, leases={**meta.leases, host: held})
