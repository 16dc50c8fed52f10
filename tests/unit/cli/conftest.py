"""A host that answers, with three VMs; and ``ave`` spoken to it in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ave.cli.main import main
from ave.model.vm import VMState
from ave.model.volume import Volume, VolumeState
from tests.unit.cli.served import Ave, Served, Told, served, vm

WEB_1 = vm("web-1", labels={"app": "web"}, volumes=("web-1-disk-1",))
WEB_2 = vm("web-2", labels={"app": "web"}, state=VMState.STOPPED, memory_mib=8192)
DB_1 = vm("db-1", labels={"app": "db"}, ha=False)
DISK = Volume(id="web-1-disk-1", size_gib=20, vm="web-1", state=VolumeState.READY)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as found:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("AVE_CONTEXT", found.url)
        monkeypatch.delenv("AVE_TOKEN", raising=False)
        found.put(WEB_1, WEB_2, DB_1, DISK)
        yield found


@pytest.fixture
def ave(here: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ave:
    def run(*words: str, stdin: str = "") -> Told:
        monkeypatch.setattr(sys, "argv", ["ave", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    return run
