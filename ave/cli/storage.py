"""``ave storage``: the service of the storage box, for real."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from ave.cli.screen import complain


def storage(
    *,
    config: Path | None = None,
    listen: str = "",
    pool: str = "",
    state: str = "",
    tgtd: str = "",
    secret_file: str = "",
) -> int:
    """Run the storage box until SIGTERM or Ctrl-C: volumes, who owns them, and storage leases. Exit 0 stopped, 1 failed,
    2 bad configuration.

    Parameters
    ----------
    config
        A TOML file with a section [storage]. Each key may also come from the environment, as AVE_STORAGE__POOL does.
    listen
        Address and port on the storage network that hosts ask, instead of [storage] listen.
    pool
        A folder on a file system with reflink, instead of [storage] pool.
    state
        The folder of what is durably known, instead of [storage] state; better not on the pool.
    tgtd
        The control socket of tgtd, instead of [storage] tgtd.
    secret_file
        The cluster's storage secret, instead of [storage] secret_file. Drawn if the file is not there yet.
    """
    from ave.errors import AveError
    from drivers.config import load_box
    from drivers.storage import run

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    flags = {"listen": listen, "pool": pool, "state": state, "tgtd": tgtd, "secret_file": secret_file}
    try:
        asyncio.run(run(load_box(config, os.environ, flags)))
    except AveError as problem:
        return complain(problem)
    return 0
