"""What went wrong, as RFC 9457 says it. The errors are for who must act; a status and a code follow from each."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.errors import AveError, KeyReused, NoFit, Refused, Stale, Unavailable, UnknownOutcome

RETRY_SECONDS = 2


class Unauthenticated(AveError):
    """Who is it?"""


class Denied(AveError):
    """Whoever it is, he may not."""


class Foreign(Denied):
    """A page of somebody else's asks."""


class NotFound(Refused):
    """There is none; or it is somebody else's, which looks the same."""


class Taken(Refused):
    """It is not in a state in which this can be done now."""


class OnlySimulated(Refused):
    """Time and faults are made in a simulation alone."""


class OnlyReal(Refused):
    """There is no such thing in a simulation."""


class Standing(Refused):
    """The simulated world stands still, and this needs time."""


class Changed(Refused):
    """Somebody was quicker: read again."""


class TooMany(AveError):
    """Later."""

    def __init__(self, what: str, seconds: float = RETRY_SECONDS) -> None:
        super().__init__(what, seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return str(self.args[0])


class Invalid(Refused):
    """The words themselves. ``errors`` says where: a pointer into the body, or the name of a parameter."""

    def __init__(self, what: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(what, errors)
        self.errors = errors

    def __str__(self) -> str:
        return str(self.args[0])


class FieldError(msgspec.Struct, frozen=True):
    pointer: str  # RFC 6901 into the body; or ?name of a parameter
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    instance: str = ""
    request_id: str = ""
    retryable: bool = False
    errors: tuple[FieldError, ...] = ()


class _Row(msgspec.Struct, frozen=True):
    status: int
    code: str
    title: str
    hint: str = ""
    retryable: bool = False


# The first row whose class it is.
_ROWS: tuple[tuple[type[Exception], _Row], ...] = (
    (
        Unauthenticated,
        _Row(
            401,
            "unauthenticated",
            "who are you?",
            "send Authorization: Bearer with a token; ave init makes the first one, a login one for some hours",
        ),
    ),
    (Foreign, _Row(403, "foreign", "not from there", "send a token, and no Origin")),
    (Denied, _Row(403, "denied", "not allowed", "ask an administrator for a role that has this permission")),
    (NotFound, _Row(404, "not-found", "there is none")),
    (Taken, _Row(409, "conflict", "not now", "look at its state, or let the request wait with on_conflict=queue")),
    (
        OnlySimulated,
        _Row(
            409,
            "only-simulated",
            "this cluster is real",
            "ave sim serve FILE serves a simulated one; api_extensions of /v1/version says what a cluster can do",
        ),
    ),
    (OnlyReal, _Row(409, "only-real", "this cluster is simulated", "ask a real one")),
    (
        Standing,
        _Row(
            409,
            "paused",
            "time stands still",
            'let it go on: PUT /v1/clock {"paused": false}, or {"step": 10}; then look what became of it',
            True,
        ),
    ),
    (Changed, _Row(412, "changed", "it has changed meanwhile", "read it again, and send If-Match with the new ETag")),
    (KeyReused, _Row(422, "key-reused", "this idempotency key is taken", "use a new key for a new request")),
    (TooMany, _Row(429, "too-many", "too much at once", "wait as long as Retry-After says", True)),
    (Refused, _Row(400, "invalid", "this cannot be asked")),
    (NoFit, _Row(409, "no-fit", "no host fits", "ask ave explain placement why")),
    (Unavailable, _Row(503, "unavailable", "nothing was done", "try again, or ask another host", True)),
    (Stale, _Row(503, "unavailable", "nothing was done", "try again", True)),
    (TimeoutError, _Row(504, "too-late", "it took too long", "look what became of it", True)),
    (
        UnknownOutcome,
        _Row(
            504,
            "unknown-outcome",
            "nobody knows whether it was done",
            "send it again with the same Idempotency-Key: it is then done once",
            True,
        ),
    ),
)
_BUG = _Row(500, "bug", "a bug", "please report it with the request id")
CODES = {row.code: row.status for _, row in _ROWS}


def problem(error: BaseException, *, instance: str = "", request_id: str = "") -> Problem:
    """Of a bug nothing is told but that it is one."""
    row = next((row for type, row in _ROWS if isinstance(error, type)), _BUG)
    return Problem(
        type=f"urn:ave:problem:{row.code}",
        title=row.title,
        status=row.status,
        detail=str(error) if row is not _BUG else "",
        code=row.code,
        hint=row.hint,
        instance=instance,
        request_id=request_id,
        retryable=row.retryable,
        errors=error.errors if isinstance(error, Invalid) else (),
    )


def retry_after(error: Any) -> float:
    """Seconds; 0: to try again is of no use."""
    if isinstance(error, TooMany):
        return error.seconds
    return RETRY_SECONDS if isinstance(error, Unavailable | Stale) else 0.0
