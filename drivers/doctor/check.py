"""What a check is, and what it may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from drivers.config import BoxConfig, Config, LibvirtConfig, StorageConfig
from drivers.config_shown import Role

WAIT_SECONDS = 2.0  # for one answer of somebody else

Status = Literal["ok", "warning", "failed", "not asked"]


class Found(msgspec.Struct, frozen=True):
    status: Status
    says: str  # the thing, its place, and what is with it
    fix: str = ""  # the next step, unless the row's own is right


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The host that is looked at: what it is meant to be."""

    role: Role = "node"
    file: Path | None = None  # of the configuration
    config: Config | None = None  # of a node; None if there is none, or none that can be used
    box: BoxConfig | None = None  # of a storage box
    environment: Mapping[str, str] = {}

    @property
    def libvirt(self) -> LibvirtConfig:
        return self.config.libvirt if self.config is not None else LibvirtConfig()

    @property
    def storage(self) -> StorageConfig | None:
        return self.config.storage if self.config is not None and self.config.hypervisor.driver == "libvirt" else None


class Check(NamedTuple):
    id: str
    what: str  # is so if it is passed
    look: Callable[[Subject], Found]
    fix: str  # what to do if it is not
    spared: Callable[[Subject], str] = lambda subject: ""  # why this host is not asked, or nothing
    seconds: float = WAIT_SECONDS  # for all of it; then it has failed


def ok(says: str) -> Found:
    return Found("ok", says)


def warning(says: str, fix: str = "") -> Found:
    return Found("warning", says, fix)


def failed(says: str, fix: str = "") -> Found:
    return Found("failed", says, fix)


RANK: Mapping[Status, int] = {"failed": 0, "warning": 1, "ok": 2, "not asked": 3}


def worst(found: list[Found], otherwise: Found) -> Found:
    """One answer for several things: of the worst kind all, and the first one's next step."""
    if not found:
        return otherwise
    status = min((each.status for each in found), key=lambda each: RANK[each])
    same = [each for each in found if each.status == status]
    return Found(status, "; ".join(each.says for each in same), next((each.fix for each in same if each.fix), ""))


# Why a host is not asked


def unless_configured(subject: Subject) -> str:
    return "" if subject.config is not None or subject.box is not None else NO_CONFIGURATION


def unless_node(subject: Subject) -> str:
    if subject.role != "node":
        return "a storage box has none"
    return "" if subject.config is not None else NO_CONFIGURATION


def unless_libvirt(subject: Subject) -> str:
    """A host without a configuration is asked too: it is to become one."""
    if subject.role != "node":
        return "a storage box runs no VMs"
    if subject.config is not None and subject.config.hypervisor.driver != "libvirt":
        return f"[hypervisor] driver is {subject.config.hypervisor.driver}"
    return ""


def unless_on_box(subject: Subject) -> str:
    """Is it a host whose volumes are on a storage box?"""
    return unless_libvirt(subject) or unless_node(subject)


def unless_storage(subject: Subject) -> str:
    if subject.role != "storage":
        return "this is no storage box"
    return "" if subject.box is not None else NO_CONFIGURATION


NO_CONFIGURATION = "there is no configuration that can be used: name one with --config"
