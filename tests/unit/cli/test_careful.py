"""What a command does not do by mistake: nothing goes without a yes, and no secret is an argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.api.routes import catalogue
from ave.cli.remote.asking import DESTRUCTIVE
from ave.cli.remote.commands import words_of
from tests.unit.cli.served import Ave, Served

DESTROYING = [entry for entry in catalogue().values() if entry.verb in DESTRUCTIVE]


@pytest.mark.parametrize("entry", DESTROYING, ids=lambda entry: entry.name)
def test_where_nobody_can_be_asked_nothing_goes_without_a_yes(entry: object, ave: Ave, here: Served) -> None:
    word = words_of(entry)[0]  # type: ignore[arg-type]
    told = ave(entry.noun, word, "web-1")  # type: ignore[attr-defined]
    assert told.code == 2
    assert "needs a yes, and nobody can be asked here" in told.err
    assert "--yes" in told.err
    assert here.jobs() == []


def test_what_loses_something_is_known_to() -> None:
    """Whoever adds a verb of this kind says so, or gives it another name."""
    assert {entry.verb for entry in DESTROYING} == set(DESTRUCTIVE)
    losing = ("delete", "destroy", "remove", "wipe", "force", "kill", "reset", "poweroff")
    assert [e.name for e in catalogue().values() if e.verb.startswith(losing) and e not in DESTROYING] == []


@pytest.mark.parametrize("words", [("user", "set-password", "ada"), ("token", "login", "--user", "ada")], ids=str)
def test_a_password_is_read_from_a_file_or_stdin_and_never_said(
    words: tuple[str, ...], ave: Ave, tmp_path: Path
) -> None:
    nobody = ave(*words)
    assert (nobody.code, "the password is needed, and nobody can be asked here" in nobody.err) == (2, True)
    said = ave(*words, "--password", "correct horse battery")
    assert said.code == 2
    file = tmp_path / "password"
    file.write_text("correct horse battery\nand more\n")
    sent = ave(*words, "--password-file", str(file))
    assert (sent.code, "lets everybody in" in sent.err) == (4, True)  # this host has no passwords, and heard one
    assert ave(*words, "--password-file", "-", stdin="correct horse battery\n").code == 4
    for empty in ("", "\n"):
        file.write_text(empty)
        assert ave(*words, "--password-file", str(file)).code == 2
    assert ave(*words, "--password-file", str(tmp_path / "none")).code == 2


def test_a_tenants_limits_are_said_as_sizes(ave: Ave) -> None:
    made = ave("tenant", "edit", "default", "--cpus", "8", "--memory", "64GiB", "--volumes", "1TiB", "-o", "json")
    assert made.code == 0, made.err
    assert '"memory_mib": 65536' in made.out
    listed = ave("tenant", "ls")
    assert listed.out.splitlines()[0].split() == ["NAME", "CPUS", "MEMORY", "VMS", "VOLUMES", "USED"]
    assert listed.out.splitlines()[1].split()[:5] == ["default", "8", "64GiB", "0", "1TiB"]
    assert ave("tenant", "edit", "default", "--vms=-1").code == 2
