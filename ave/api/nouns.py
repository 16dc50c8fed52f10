"""The things that there are, as people meet them: one row for each noun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ave.api.shown import Job, TenantShare
from ave.model.access import Permission, Token, User
from ave.model.alarm import Alarm
from ave.model.audit import Record
from ave.model.cluster import Role
from ave.model.group import Group
from ave.model.host import Host, Zone
from ave.model.network import Network
from ave.model.settings import CLUSTER, Settings
from ave.model.vm import VM
from ave.model.volume import Volume

Column = tuple[str, str]  # a title, and the field that stands below it


class Noun(msgspec.Struct, frozen=True):
    """``kind`` is the kind of document, ``shown`` what of it people see; ``columns`` are those of a table, and ``wide`` the
    further ones of a wide table. ``hidden`` fields are nobody's business."""

    name: str
    plural: str
    kind: str
    type: type[Any]
    columns: tuple[Column, ...]
    wide: tuple[Column, ...] = ()
    hidden: tuple[str, ...] = ()
    seen_by: Permission = Permission.VIEW
    viewed: bool = True  # it is in the view, so that it can be listed, shown and watched
    only: str = ""  # the id of the only one there is


_ID, _STATE = ("NAME", "id"), ("STATE", "state")

NOUNS: Mapping[str, Noun] = {
    noun.name: noun
    for noun in (
        Noun(
            "vm",
            "vms",
            "vm",
            VM,
            (_ID, _STATE, ("HOST", "host"), ("CPUS", "vcpus"), ("MEMORY", "memory_mib"), ("HA", "ha")),
            (("PRIORITY", "priority"), ("NETWORKS", "networks"), ("VOLUMES", "volumes"), ("LABELS", "labels")),
        ),
        Noun(
            "host",
            "hosts",
            "host",
            Host,
            (_ID, _STATE, ("ZONE", "zone"), ("MASTER", "master"), ("CPUS", "cpus"), ("MEMORY", "memory_mib")),
            (("CPU MODEL", "cpu_model"), ("NETWORKS", "networks"), ("WISH", "wish"), ("EPOCH", "epoch")),
        ),
        Noun("volume", "volumes", "volume", Volume, (_ID, _STATE, ("SIZE", "size_gib"), ("VM", "vm"))),
        Noun("network", "networks", "network", Network, (_ID, _STATE, ("VLAN", "vlan"), ("TRUNK", "trunk"))),
        Noun(
            "group",
            "groups",
            "group",
            Group,
            (_ID, _STATE, ("RULE", "rule"), ("VMS", "vms"), ("HOSTS", "hosts"), ("ZONE", "zone")),
        ),
        Noun(
            "job",
            "jobs",
            "work",
            Job,
            (_ID, ("OPERATION", "operation"), _STATE, ("DONE", "progress"), ("SUBMITTED", "submitted"), ("WHY", "why")),
            (("HOST", "host"), ("WAITS FOR", "waits"), ("FINISHED", "finished")),
        ),
        Noun("role", "roles", "role", Role, (_ID, ("HOLDER", "holder"), ("TERM", "term"))),
        Noun("zone", "zones", "zone", Zone, (_ID, _STATE, ("PRIMARY", "primary"))),
        Noun(
            "tenant",
            "tenants",
            "tenant",
            TenantShare,
            (
                _ID,
                ("CPUS", "vcpus"),
                ("MEMORY", "memory_mib"),
                ("VMS", "vms"),
                ("VOLUMES", "volumes_gib"),
                ("USED", "used"),
            ),
        ),
        Noun(
            "user",
            "users",
            "user",
            User,
            (_ID, ("TENANT", "tenant"), ("GRANTS", "grants"), ("DISABLED", "disabled")),
            seen_by=Permission.ADMINISTER,
        ),
        Noun(
            "token",
            "tokens",
            "token",
            Token,
            (_ID, ("USER", "user"), ("FOR", "phrase"), ("MADE", "made"), ("EXPIRES", "expires")),
            hidden=("digest",),
            seen_by=Permission.ADMINISTER,
        ),
        Noun("alarm", "alarms", "alarm", Alarm, (_ID, ("RAISED", "raised"), ("WHAT", "what"))),
        Noun(
            "audit",
            "audit",
            "audit",
            Record,
            (
                ("AT", "at"),
                ("USER", "user"),
                ("OPERATION", "operation"),
                ("OUTCOME", "outcome"),
                ("THINGS", "things"),
                ("JOB", "job"),
            ),
            (("RECORD", "id"), ("TOKEN", "token"), ("WHY", "why"), ("REQUEST", "request_id")),
            seen_by=Permission.ADMINISTER,
            viewed=False,
        ),
        Noun(
            "cluster",
            "cluster",
            "settings",
            Settings,
            (("NETWORK FAILURE", "network_failure"), ("GUEST FAILURE", "guest_failure")),
            only=CLUSTER,
        ),
    )
}
BY_KIND: Mapping[str, Noun] = {noun.kind: noun for noun in NOUNS.values() if noun.viewed}
BY_TYPE: Mapping[type[Any], Noun] = {noun.type: noun for noun in NOUNS.values() if noun.name != "job"}


def plain(noun: Noun, doc: Any) -> dict[str, Any]:
    """As plain data: what is shown of one."""
    fields: dict[str, Any] = msgspec.to_builtins(doc)
    for field in noun.hidden:
        del fields[field]
    return fields
