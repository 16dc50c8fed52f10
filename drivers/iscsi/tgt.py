"""tgtd, the user-space iSCSI target of Linux, spoken to as tgtadm does, but with no secret in anybody's arguments.

One request is one connection to its Unix socket: a fixed header, perhaps some text, and the answer. A target that was taken
down is never used again: the next one, also of the same name, has another number, drawn from two thousand million. So who
was half-way through a login to the old one finds nothing to log in to, and who was logged in has been seen to be gone.
"""

from __future__ import annotations

import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

import msgspec

from ave.errors import Unavailable
from drivers.iscsi.backend import Export
from drivers.iscsi.names import LUN

REQUEST = struct.Struct("=II64sIiQQIIIIII")  # struct tgtadm_req of tgt 1.0
ANSWER = struct.Struct("=II")
ANSWER_SECONDS = 5.0  # it answers from memory, unless it stands still
ANSWER_BYTES_MAX = 64 * 2**20
DOWN_SECONDS = 10.0  # for what is under way to end: a few writes to a disk
LOOK_AGAIN_SECONDS = 0.002
TIDS = 2**31 - 1
DISK = 0  # the SCSI device type


class Op(IntEnum):
    NEW, DELETE, SHOW, BIND, UNBIND, UPDATE = range(6)


class Mode(IntEnum):
    TARGET, DEVICE, CONNECTION, ACCOUNT = 1, 2, 6, 7


class Error(IntEnum):
    NO_TARGET, NO_SESSION, NO_CONNECTION = 4, 6, 7
    ACL_NOEXIST, USER_EXIST, NO_USER = 13, 14, 15
    TARGET_ACTIVE, LUN_ACTIVE = 19, 20


class Failed(Unavailable):
    """tgtd said no. ``code`` is one of its own."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code)
        self.what, self.code = what, code

    def __str__(self) -> str:
        known = {error.value: error.name.lower().replace("_", " ") for error in Error}
        return f"tgtd does not {self.what}: {known.get(self.code, f'error {self.code}')}"


class Shown(msgspec.Struct):
    """A target, as tgtd lists it."""

    tid: int
    users: list[str] = []
    acl: list[str] = []
    path: str = ""
    megabytes: str = ""
    state: str = ""

    def serves(self, export: Export) -> bool:
        """Is it just this, and whole?"""
        wanted = Shown(self.tid, [export.user], [export.initiator], export.path, megabytes(export.size), "ready")
        return self == wanted


class Tgt:
    luns_per_target = 1  # tgtd has no masking: an initiator of a target reaches all its LUNs

    def __init__(self, ipc: Path) -> None:
        """``ipc``: its socket, TGT_IPC_SOCKET with the control port behind it ("/run/tgtd/socket.0")."""
        self._ipc = str(ipc)
        self._accounts = threading.Lock()  # they are shared by all targets
        self._users: set[str] = set()  # whose account has the secret that is asked for
        self._seen: dict[
            str, Shown
        ] = {}  # what was put up or listed last; it may be gone since, but is never another one

    def look(self, wanted: Mapping[str, Export]) -> dict[str, bool]:
        return {name: name in wanted and shown.serves(wanted[name]) for name, shown in self._show().items()}

    def put_up(self, export: Export, secret: str) -> None:
        tid = 1 + secrets.randbelow(TIDS)
        self._seen[export.target] = Shown(tid, [export.user], [export.initiator], export.path)
        self._ask("make a target", Mode.TARGET, Op.NEW, tid, f"targetname={export.target}")
        try:
            self._bind_account(tid, export.user, secret)
            self._open(tid, export)
            # Last: before it nobody may log in.
            self._ask("bind an initiator", Mode.TARGET, Op.BIND, tid, f"initiator-name={export.initiator}")
        except BaseException:
            self.take_down(export.target)
            raise

    def _bind_account(self, tid: int, user: str, secret: str) -> None:
        """An account that no target has may be of an older secret: it is made anew. One that a target has stays, for who is
        logged in there."""
        with self._accounts:
            if user not in self._users and not any(user in shown.users for shown in self._show().values()):
                self._let("forget an account", Error.NO_USER, Mode.ACCOUNT, Op.DELETE, 0, f"user={user}")
            told = f"user={user},password={secret}"
            self._let("keep an account", Error.USER_EXIST, Mode.ACCOUNT, Op.NEW, 0, told)
            self._ask("bind an account", Mode.ACCOUNT, Op.BIND, tid, f"user={user}")
            self._users.add(user)

    def require(self, target: str) -> None:
        if (shown := self._seen.get(target)) is None:
            raise Unavailable(f"target {target} has not been seen")
        self._connections(shown.tid)

    def take_down(self, target: str) -> None:
        """By the number under which it was seen last, and if that is gone by what there is now."""
        seen = self._seen.get(target)
        if seen is None or not self._removed(seen):
            now = self._show().get(target)
            if now is not None and not self._removed(now):
                raise Unavailable(f"target {target} went by itself: is somebody else at work on this tgtd?")
        self._seen.pop(target, None)

    def _removed(self, shown: Shown) -> bool:
        """New logins are refused first, then its connections are cut until it lets itself be removed: it does so only when
        it has no session and its LUN no command, and joins the threads that wrote for it. False if there is no such target."""
        ends = time.monotonic() + DOWN_SECONDS
        try:
            for name in shown.acl:
                self._let("unbind", Error.ACL_NOEXIST, Mode.TARGET, Op.UNBIND, shown.tid, f"initiator-name={name}")
            while not self._gone(shown.tid, ends):
                self._cut(shown.tid)
                time.sleep(LOOK_AGAIN_SECONDS)
        except Failed as error:
            if error.code != Error.NO_TARGET:
                raise
            return False
        return True

    def _gone(self, tid: int, ends: float) -> bool:
        try:
            self._ask("remove a target", Mode.TARGET, Op.DELETE, tid)
        except Failed as busy:
            if busy.code not in (Error.TARGET_ACTIVE, Error.LUN_ACTIVE) or time.monotonic() >= ends:
                raise
            return False
        return True

    def reopen(self, export: Export) -> None:
        """tgtd looks at a file's size when it opens it. A command that comes while there is no LUN would fail in the guest:
        so the target is offline meanwhile, which leaves commands unanswered, and its connections are cut afterwards. Then
        initiators log in again at once, and send again what was not answered."""
        if (shown := self._show().get(export.target)) is None:
            raise Unavailable(f"there is no target {export.target} to open anew")
        self._ask("take a target offline", Mode.TARGET, Op.UPDATE, shown.tid, "state=offline")
        ends = time.monotonic() + DOWN_SECONDS
        while shown.path:
            try:
                self._ask("close a volume", Mode.DEVICE, Op.DELETE, shown.tid, lun=LUN)
                break
            except Failed as busy:
                if busy.code != Error.LUN_ACTIVE or time.monotonic() >= ends:
                    raise
            time.sleep(LOOK_AGAIN_SECONDS)
        self._open(shown.tid, export)
        self._ask("take a target online", Mode.TARGET, Op.UPDATE, shown.tid, "state=ready")
        self._cut(shown.tid)

    def _open(self, tid: int, export: Export) -> None:
        self._ask("open a volume", Mode.DEVICE, Op.NEW, tid, f"path={export.path},bstype=rdwr", lun=LUN)
        told = f"vendor_id=AVE,product_id=VOLUME,scsi_sn={export.serial},scsi_id={export.serial},thin_provisioning=1"
        self._ask("describe a volume", Mode.DEVICE, Op.UPDATE, tid, told, lun=LUN)

    def _cut(self, tid: int) -> None:
        for session, connection in self._connections(tid):
            try:
                self._ask("cut a connection", Mode.CONNECTION, Op.DELETE, tid, sid=session, cid=connection)
            except Failed as gone:
                if gone.code not in (Error.NO_SESSION, Error.NO_CONNECTION):
                    raise

    def _connections(self, tid: int) -> list[tuple[int, int]]:
        text = self._ask("list connections", Mode.CONNECTION, Op.SHOW, tid)
        found = re.findall(r"^Session: (\d+)\n\s+Connection: (\d+)$", text, re.MULTILINE)
        return [(int(session), int(connection)) for session, connection in found]

    def _show(self) -> dict[str, Shown]:
        found = parse(self._ask("list its targets", Mode.TARGET, Op.SHOW, -1))
        self._seen.update(found)
        return found

    def _let(self, what: str, fine: Error, mode: Mode, op: Op, tid: int, text: str = "") -> None:
        """Ask, where this one error says that it is so already."""
        try:
            self._ask(what, mode, op, tid, text)
        except Failed as error:
            if error.code != fine:
                raise

    def _ask(
        self, what: str, mode: Mode, op: Op, tid: int, text: str = "", *, lun: int = 0, sid: int = 0, cid: int = 0
    ) -> str:
        data = text.encode() + b"\0" if text else b""
        length = REQUEST.size + len(data)
        header = REQUEST.pack(mode, op, b"iscsi", length, tid, sid, lun, cid, 0, DISK, 0, 0, 0)
        try:
            code, answer = self._exchange(header + data)
        except (OSError, EOFError) as error:
            raise Unavailable(f"tgtd does not answer, asked to {what}: {error or type(error).__name__}") from error
        if code:
            raise Failed(what, code)
        return answer.rstrip(b"\0").decode(errors="replace")

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        ends = time.monotonic() + ANSWER_SECONDS
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(ANSWER_SECONDS)
            link.connect(self._ipc)
            link.sendall(request)
            code, length = ANSWER.unpack(_read(link, ANSWER.size, ends))
            if code:
                return code, b""
            if length - ANSWER.size > ANSWER_BYTES_MAX:
                raise EOFError(f"an answer of {length} bytes")
            return 0, _read(link, length - ANSWER.size, ends)


def _read(link: socket.socket, size: int, ends: float) -> bytes:
    parts = []
    while size > 0:
        link.settimeout(max(0.001, ends - time.monotonic()))
        part = link.recv(min(size, 2**20))
        if not part:
            raise EOFError("it closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def megabytes(size: int) -> str:
    """As tgtd prints a size: in sectors it approximates millions of bytes."""
    sectors = size // 512
    return f"{(sectors - (sectors // 625 - 974)) // 1950} MB"


def parse(text: str) -> dict[str, Shown]:
    """tgtd's list of targets, by name."""
    found: dict[str, Shown] = {}
    shown, section, lun = Shown(0), "", 0
    for line in text.splitlines():
        if begin := re.fullmatch(r"Target (\d+): (\S+)", line):
            shown = found[begin[2]] = Shown(int(begin[1]), [], [])
            continue
        words = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            section = words
        elif section == "System information:" and words.startswith("State: "):
            shown.state = words.removeprefix("State: ")
        elif section == "Account information:":
            shown.users.append(words)
        elif section == "ACL information:":
            shown.acl.append(words)
        elif section == "LUN information:":
            key, _, value = words.partition(": ")
            lun = int(value) if key == "LUN" else lun
            if lun == LUN and key == "Size":
                shown.megabytes = value.partition(",")[0]
            elif lun == LUN and key == "Backing store path":
                shown.path = value
    return found
