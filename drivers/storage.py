"""The storage box, put together: a pool, tgtd, what is durably known, and the service that hosts ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ave.errors import Refused, Unavailable
from drivers import disk
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import BoxConfig
from drivers.iscsi.backend import Backend
from drivers.iscsi.box import Box
from drivers.iscsi.pool import Pool
from drivers.iscsi.secret import make_secret
from drivers.iscsi.server import Service
from drivers.iscsi.tgt import Tgt
from drivers.told import until_told
from drivers.urls import endpoint


async def run(config: BoxConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises Refused when it cannot begin: another one runs, or something is missing."""
    address, port = endpoint(config.listen)
    with _held(config) as (pool, state, secret):
        runtime = AsyncioRuntime("storage")
        service = Service(Box(pool, state, _backend(config), secret), state, secret, runtime)
        await until_told(runtime, _serve(service, config, address, port, pool, runtime), "storage box")


def _backend(config: BoxConfig) -> Backend:
    if config.backend == "tgt":
        return Tgt(Path(config.tgtd))
    if not config.portal:
        raise Refused("storage.portal: with backend = 'lio' it must say where targets listen, 10.78.0.20:3260 say")
    try:
        from drivers.iscsi.lio import Lio
    except ImportError as missing:
        raise Refused(f"storage.backend is lio, and {missing.name} is not there: pip install ave[lio]") from None
    return Lio(config.portal)


async def _serve(
    service: Service, config: BoxConfig, address: str, port: int, pool: Pool, runtime: AsyncioRuntime
) -> None:
    try:
        server = await service.serve(address, port)
    except OSError as problem:
        raise Refused(f"storage.listen: {config.listen} cannot be listened on: {problem.strerror}") from problem
    try:
        runtime.log("storage box starts", listen=config.listen, pool=config.pool)
        if not pool.shares_blocks():
            runtime.log("the pool's file system does not share blocks: no snapshots, clones or roll-backs")
        await service.look_for_ever()
    finally:
        server.close()


@contextmanager
def _held(config: BoxConfig) -> Iterator[tuple[Pool, Path, bytes]]:
    """What a box needs, and no other one has meanwhile."""
    state, folder = Path(config.state), Path(config.pool)
    if "," in str(folder.absolute()):
        raise Refused(f"storage.pool: {folder} has a comma in its name, which tgtd cannot read")
    if not folder.is_dir():
        raise Refused(f"storage.pool: there is no folder {folder}")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(disk.locked(state / "lock", f"{state}", seconds=0.0))
        except Unavailable as taken:
            raise Refused(f"storage.state: {taken}") from taken
        pool = Pool(folder)
        pool.sweep()
        yield pool, state, make_secret(Path(config.secret_file))
