"""``ave init``: the first administrator of a cluster, and his token."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ave.cli.screen import complain


def init(*, config: Path | None = None, user: str = "admin", store: str = "", again: bool = False) -> int:
    """Make the first administrator of a cluster and print his token once. Exit 0 done, 1 failed, 2 there are users already.

    Whoever can write to the store may do this: run it on a host, as the user who runs the node.

    Parameters
    ----------
    config
        The node's own file, or the same environment.
    user
        The administrator's name.
    store
        sqlite:FILE, or mongodb://…, instead of [store] url.
    again
        Though there are users already: another token for an administrator who has lost his, or another administrator.
    """
    from ave.errors import AveError
    from drivers.config import load
    from drivers.production import initialise

    try:
        token = asyncio.run(initialise(load(config, os.environ, {"store.url": store}), user, again=again))
    except AveError as problem:
        return complain(problem)
    print(token)
    print(f"this token of {user} is shown this once: keep it in a file that only you can read", file=sys.stderr)
    return 0
