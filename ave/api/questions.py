"""The other half of the catalogue: what is answered at once. What answers it is bound in ``ave.api.answers``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ave.api.nouns import NOUNS, Noun
from ave.api.shown import Explained, Job, JobLog, TenantShare
from ave.model.access import DEFAULT_TENANT, Grant, Permission, Token, User
from ave.model.audit import Record
from ave.operations import Named, NewVM, Nothing
from ave.placement.purpose import Purpose

T = TypeVar("T")

PAGE_MOST, PAGE = 1000, 100
WAIT_MOST = 60.0


class Select(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them. ``where``: field -> value, as text; several fields must all hold, several values of one any."""

    where: dict[str, tuple[str, ...]] = {}
    label: tuple[str, ...] = ()  # selectors, all of which must hold: app=web, tier!=db, app in (a,b), app, !app
    q: str = ""  # a part of the name
    sort: str = ""  # a field; -field: the largest first
    limit: int = PAGE
    page_token: str = ""  # where an earlier page ended


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    items: tuple[T, ...]
    next_page_token: str = ""  # "": this is the last one
    total: int = 0  # of all pages


class Show(msgspec.Struct, frozen=True, kw_only=True):
    id: str


class ShowJob(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    wait: float = 0.0  # seconds that it may have to end, before it is shown as it is


class ExplainVM(msgspec.Struct, frozen=True, kw_only=True):
    """Where would it go now, and why? A VM that is there, or one that might be made."""

    id: str = ""
    new: NewVM | None = None
    purpose: Purpose | None = None  # start, live or rescue; what its state suggests if absent


class AskAudit(msgspec.Struct, frozen=True, kw_only=True):
    limit: int = PAGE


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Record, ...]  # the newest first


class AuditChecked(msgspec.Struct, frozen=True, kw_only=True):
    """``broken``: host -> what is wrong with its chain; of whom nothing is said, all is well."""

    records: int
    broken: dict[str, str]


class Question(Named, frozen=True):
    answer: Any
    phrase: str
    permission: Permission = Permission.VIEW
    of_none: bool = False  # it can also be asked of what is not there
    anybody: bool = False  # also by who has no token: what it shows instead stands in the request


def _of(noun: Noun) -> tuple[Question, ...]:
    if not noun.viewed:
        return ()
    if noun.only:
        return (Question(f"{noun.name}.show", Show, noun.type, "show what holds for the whole cluster"),)
    show = Question(
        f"{noun.name}.show", ShowJob if noun.type is Job else Show, noun.type, f"show one of the {noun.plural}"
    )
    return Question(f"{noun.name}.list", Select, Page[noun.type], f"list {noun.plural}"), show  # type: ignore[name-defined]


class EditTenant(msgspec.Struct, frozen=True, kw_only=True):
    """How much it may have; 0: no limit."""

    id: str
    vcpus: int | UnsetType = UNSET
    memory_mib: int | UnsetType = UNSET
    vms: int | UnsetType = UNSET
    volumes_gib: int | UnsetType = UNSET


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    tenant: str = DEFAULT_TENANT
    grants: tuple[Grant, ...] = ()


class EditUser(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    tenant: str | UnsetType = UNSET
    grants: tuple[Grant, ...] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    phrase: str = ""  # what it is for
    days: float = 0.0  # that it is good for; 0: for ever


class Login(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    password: str


class SetPassword(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    password: str


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    old_password: str
    new_password: str


class MadeToken(msgspec.Struct, frozen=True, kw_only=True):
    """``token`` is told this once: nobody keeps it."""

    id: str
    user: str
    token: str
    expires: float


QUESTIONS: Mapping[str, Question] = {
    question.name: question
    for question in (
        *(question for noun in NOUNS.values() for question in _of(noun)),
        Question("job.cancel", Show, Job, "cancel a Job: what has begun is ended or undone", Permission.USE),
        Question("job.log", Show, JobLog, "tell what a Job and its tasks have gone through"),
        Question(
            "vm.explain-placement",
            ExplainVM,
            Explained,
            "say where a VM would go now, and why nowhere else",
            of_none=True,
        ),
        Question("tenant.edit", EditTenant, TenantShare, "say how much a tenant may have", Permission.ADMINISTER),
        Question("user.create", NewUser, User, "let somebody in", Permission.ADMINISTER),
        Question("user.edit", EditUser, User, "change what a user may do, or shut it out", Permission.ADMINISTER),
        Question("user.delete", Show, User, "delete a user, and with it all its tokens", Permission.ADMINISTER),
        Question(
            "user.set-password", SetPassword, User, "give a user a password; his logins end", Permission.ADMINISTER
        ),
        Question(
            "user.change-password", ChangePassword, User, "change one's own password; all logins end", anybody=True
        ),
        Question("token.login", Login, MadeToken, "get a token for some hours, with a password", anybody=True),
        Question("token.logout", Nothing, Token, "end the token with which this is asked"),
        Question("token.create", NewToken, MadeToken, "make a token, and say it once", Permission.ADMINISTER),
        Question("token.delete", Show, Token, "take a token back", Permission.ADMINISTER),
        Question("audit.list", AskAudit, AuditPage, "say who asked for what, the newest first", Permission.ADMINISTER),
        Question(
            "audit.check", Nothing, AuditChecked, "say whether a record is missing or altered", Permission.ADMINISTER
        ),
    )
}
