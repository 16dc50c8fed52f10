"""``ave node`` and ``ave guard``: the two processes of one host, for real."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from ave.cli.flags import flags_of
from ave.cli.screen import complain


def node(
    *,
    config: Path | None = None,
    host: str = "",
    services: str = "",
    store: str = "",
    root: str = "",
) -> int:
    """Run the services of one host until SIGTERM or Ctrl-C. Exit 0 stopped, 1 failed, 2 bad configuration.

    Parameters
    ----------
    config
        A TOML file. Each key may also come from the environment, as AVE_STORE__URL does for [store] url.
    host
        The host's name, instead of [node] host.
    services
        Which of lease, jobs, scheduler, monitor to run, with commas; all of them if absent.
    store
        sqlite:FILE, or mongodb://one,two,three/?replicaSet=… with [store] user and password_file (or
        AVE_MONGO_PASSWORD).
    root
        The directory of a process cluster, instead of [hypervisor] root.
    """
    from ave.errors import AveError
    from drivers.config import load
    from drivers.production import run

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    flags = flags_of(host, services, store, root)
    try:
        asyncio.run(run(load(config, os.environ, flags)))
    except AveError as problem:
        return complain(problem)
    return 0


def guard(*, config: Path | None = None, host: str = "", root: str = "") -> int:
    """Run the guard of one host beside its node, until SIGTERM or Ctrl-C: it freezes VMs whose lease is over when all else
    hangs. Exit 0 stopped, 1 failed, 2 bad configuration.

    Parameters
    ----------
    config
        The node's own file, or the same environment.
    host
        The host's name, instead of [node] host.
    root
        The directory of a process cluster, instead of [hypervisor] root.
    """
    from ave.errors import AveError
    from drivers.config import load
    from drivers.production import guard as run

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    flags = {"node.host": host, "hypervisor.root": root, "store.url": "sqlite:none"}  # it opens no store
    try:
        asyncio.run(run(load(config, os.environ, flags)))
    except AveError as problem:
        return complain(problem)
    return 0
