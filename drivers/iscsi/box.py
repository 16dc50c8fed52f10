"""The storage box: what is durably known of each volume, and the pool and the targets made to agree with it.

A verb decides by the record, writes the new one, makes the world agree, and only then answers. So whatever dies in between,
the record says who may write, and whoever comes next, a repeated verb or the next start, goes on from there. A fence is
nothing else: the record names the new owner, the target of the old one is taken down, that of the new one is put up.

Every method blocks, and is a thread's work.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ports.hypervisor import Stamp
from drivers import disk
from drivers.iscsi import names
from drivers.iscsi.backend import Backend, Export
from drivers.iscsi.pool import GIB, Pool
from drivers.volume_record import VolumeRecord, admitted, attached, created, deleted, detached, grown


class Phase(StrEnum):
    MAKING = "making"  # its file holds nothing of anybody's yet
    READY = "ready"
    GOING = "going"  # nobody will ever have it again


class Record(VolumeRecord, frozen=True, kw_only=True):
    phase: Phase = Phase.MAKING


class Found(msgspec.Struct, frozen=True):
    """What a look at everything has come upon."""

    put_right: tuple[str, ...] = ()  # volumes whose targets or files were not as their records say
    unclear: dict[str, str] = {}  # volume -> why it could not be put right
    removed: tuple[str, ...] = ()  # what targets of volumes that nobody knows began with
    strangers: tuple[str, ...] = ()  # files that no record knows: left alone, they may be somebody's


class Box:
    def __init__(self, pool: Pool, state: Path, backend: Backend, key: bytes) -> None:
        """``key``: the cluster's storage secret."""
        self._pool, self._backend, self._key = pool, backend, key
        self._records, self._locks = state.absolute() / "volumes", state.absolute() / "locks"
        self._agreed: dict[str, Record] = {}  # records with which the world was seen to agree
        for folder in (self._records, self._locks):
            os.makedirs(folder, mode=0o700, exist_ok=True)

    # The verbs of the port

    def create(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._read(volume)
            if known is not None and known.phase is Phase.GOING:
                self._make_agree(known)
                known = None
            if known is None:
                self._pool.require_room(volume, size_gib)
                if self._pool.size(volume) is not None:
                    raise Refused(f"volume {volume} has a file in the pool, but no record: move it away first")
                known = created(Record(volume=volume, size_gib=size_gib), size_gib, stamp)
                try:
                    self._change(None, known)
                except Refused:  # there was no room for it after all
                    disk.remove(self._path(volume))
                    raise
            else:
                self._change(known, created(known, size_gib, stamp))

    def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._known(volume)
            after = grown(known, size_gib, stamp)
            if size_gib > known.size_gib:
                self._pool.require_room(volume, size_gib)
            self._change(known, after)

    def delete(self, volume: str, stamp: Stamp) -> None:
        with self._locked(volume):
            if (known := self._read(volume)) is not None:
                going = known.phase is Phase.GOING
                after = known if going else msgspec.structs.replace(deleted(known, stamp), phase=Phase.GOING)
                self._change(known, after)

    def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._known(volume)
            self._change(known, attached(known, owner, stamp))

    def admit(self, volume: str, host: str, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._known(volume)
            self._change(known, admitted(known, host, stamp))

    def detach(self, volume: str, stamp: Stamp) -> None:
        with self._locked(volume):
            if (known := self._read(volume)) is not None and known.phase is not Phase.GOING:
                self._change(known, detached(known, stamp))

    def owner(self, volume: str) -> tuple[str, int]:
        """Unavailable as long as an older owner may not be gone, whatever the record says."""
        with self._locked(volume):
            known = self._known(volume)
            if self._agreed.get(volume) != known:
                known = self._make_agree(known)
            return known.owner, known.epoch

    # Starts, and the server of the targets starting anew

    def volumes(self) -> tuple[str, ...]:
        """Those that exist."""
        return tuple(volume for volume, record in self._all().items() if record and record.phase is not Phase.GOING)

    def look(self) -> Found:
        """Make everything agree with the records. Unavailable when the server of the targets does not answer at all."""
        records = self._all()
        wanted = {export.target: export for record in records.values() if record for export in self._exports(record)}
        there = self._backend.look(wanted)
        mine: dict[str, dict[str, bool]] = {}
        for name, is_right in there.items():
            for prefix in names.ours([name]):
                mine.setdefault(prefix, {})[name] = is_right
        right, unclear = [], {}
        for volume, record in records.items():
            seen = mine.get(names.prefix(volume), {})
            if record is not None and self._agrees(record, seen):
                continue
            try:
                with self._locked(volume):
                    if (known := self._read(volume)) is not None:
                        self._make_agree(known, seen if known == record else None)
                right.append(volume)
            except (Refused, Unavailable, OSError) as trouble:
                unclear[volume] = str(trouble)
        now = self._all()  # what was put up meanwhile has a record by now
        removed = sorted(mine.keys() - {names.prefix(volume) for volume in now})
        for prefix in removed:
            for name in mine[prefix]:
                self._backend.take_down(name)
        strangers = tuple(sorted(set(self._pool.volumes()) - set(now)))
        return Found(tuple(right), unclear, tuple(removed), strangers)

    # How the world is made to agree

    def _change(self, known: Record | None, after: Record) -> None:
        """UnknownOutcome when the record is written, or was before, but the world does not agree yet."""
        agreed = known is not None and self._agreed.pop(after.volume, None) == known
        if after != known:
            disk.replace(self._path(after.volume), msgspec.json.encode(after))
        try:
            if known is None or not agreed or not self._moved(known, after):
                self._make_agree(after)
        except (Unavailable, OSError) as trouble:
            raise UnknownOutcome(f"volume {after.volume}: {trouble}; it is tried again") from trouble

    def _moved(self, known: Record, after: Record) -> bool:
        """From a world that agreed with the one record to one that agrees with the other, with no look at all targets. Not
        if one of them is not as it was seen."""
        old = {export.target: export for export in self._exports(known)}
        new = {export.target: export for export in self._exports(after)}
        try:
            for target in old.keys() - new.keys():
                self._backend.take_down(target)
            after = self._make_file_agree(after)
            for target, export in new.items():
                if target not in old:
                    self._put_up(after, export)
                elif export != old[target]:
                    self._backend.reopen(export)
                else:
                    self._backend.require(target)
        except Unavailable:
            return False
        self._agreed[after.volume] = after
        return True

    def _make_agree(self, record: Record, mine: Mapping[str, bool] | None = None) -> Record:
        """``mine``: the volume's targets, and whether they are right, if that was just looked at."""
        volume = record.volume
        wanted = {export.target: export for export in self._exports(record)}
        if mine is None:
            there = self._backend.look(wanted)
            mine = {name: right for name, right in there.items() if name.startswith(names.prefix(volume))}
        for name, right in mine.items():
            if not right:
                self._backend.take_down(name)
        record = self._make_file_agree(record)
        for name, export in wanted.items():
            if not mine.get(name):
                self._put_up(record, export)
        self._agreed[volume] = record
        return record

    def _put_up(self, record: Record, export: Export) -> None:
        host = record.owner if export.user == names.user(record.owner) else record.incoming
        self._backend.put_up(export, names.chap_secret(self._key, host))

    def _make_file_agree(self, record: Record) -> Record:
        volume = record.volume
        if record.phase is Phase.GOING:
            self._pool.remove(volume)
            disk.remove(self._path(volume))
            disk.settle(self._records)
        elif record.phase is Phase.MAKING:
            self._pool.make(volume, record.size_gib)
            record = msgspec.structs.replace(record, phase=Phase.READY)
            disk.replace(self._path(volume), msgspec.json.encode(record))
        elif self._pool.size(volume) is None:
            raise Unavailable(f"the file of volume {volume} is gone from the pool")
        else:
            self._pool.grow(volume, record.size_gib)
        return record

    def _agrees(self, record: Record, mine: Mapping[str, bool]) -> bool:
        wanted = {export.target for export in self._exports(record)}
        return record.phase is Phase.READY and mine == dict.fromkeys(wanted, True) and self._whole(record)

    def _whole(self, record: Record) -> bool:
        size = self._pool.size(record.volume)
        return size is not None and size >= record.size_gib * GIB

    def _exports(self, record: Record) -> list[Export]:
        """Who may open it: its owner, and one host to which it may be on its way."""
        hosts = [(record.owner, record.epoch), (record.incoming, record.epoch + 1)]
        path, size = str(self._pool.path(record.volume)), record.size_gib * GIB
        serial = hashlib.sha256(record.volume.encode()).hexdigest()[:20]
        return [
            Export(
                names.target(record.volume, host, epoch),
                names.initiator(host, epoch),
                names.user(host),
                path,
                size,
                serial,
            )
            for host, epoch in hosts
            if host and record.phase is not Phase.GOING
        ]

    # Records

    @contextmanager
    def _locked(self, volume: str) -> Iterator[None]:
        with disk.locked(self._locks / disk.file_name(volume), f"volume {volume}"):
            yield

    def _path(self, volume: str) -> Path:
        return self._records / f"{disk.file_name(volume)}.json"

    def _known(self, volume: str) -> Record:
        known = self._read(volume)
        if known is None or known.phase is Phase.GOING:
            raise Refused(f"there is no volume {volume}")
        return known

    def _read(self, volume: str) -> Record | None:
        try:
            return msgspec.json.decode(self._path(volume).read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except disk.DAMAGED as error:
            raise Unavailable(f"the record of volume {volume} cannot be read: {error}") from error

    def _all(self) -> dict[str, Record | None]:
        """By volume; None for a record that cannot be read."""
        found: dict[str, Record | None] = {}
        for path in sorted(self._records.iterdir()):
            if path.name.startswith(".") or path.suffix != ".json":
                continue
            volume = disk.name_of(path.stem)
            try:
                record = self._read(volume)
            except Unavailable:
                found[volume] = None
            else:
                if record is not None:
                    found[volume] = record
        return found
