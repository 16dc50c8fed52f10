"""Few errors, told apart by who must act. Everything else is a bug and stops the process."""

from __future__ import annotations

from collections.abc import Mapping


class AveError(Exception):
    """What the control plane may raise on purpose. Rebuilds from ``args``: a simulator and pickle copy errors."""


class Refused(AveError):
    """The caller must change the request: it names the thing, the reason and, if there is one, the next step."""


class KeyReused(Refused):
    """The idempotency key stands for another request."""


class NoFit(AveError):
    """Nobody can help now: no host fits. Carries, per filter, how many hosts it turned away."""

    def __init__(self, vm: str, hosts: int, rejected: Mapping[str, int]) -> None:
        super().__init__(vm, hosts, rejected)
        self.vm, self.hosts, self.rejected = vm, hosts, rejected

    def __str__(self) -> str:
        if not self.hosts:
            return f"no host fits {self.vm}: the cluster has no host"
        reasons = "; ".join(f"{count} by {name}" for name, count in self.rejected.items())
        return f"none of {self.hosts} hosts fits {self.vm}: {reasons}"


class Unavailable(AveError):
    """Did not happen and will not: the loop that owns the work tries again later."""


class UnknownOutcome(AveError):
    """The answer was lost: read back, and settle it by a fact that never goes back."""


class Stale(AveError):
    """Somebody else has taken this work over: what is still known of it here is history. Stop, and change nothing."""
