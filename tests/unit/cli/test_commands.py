"""Every entry of the catalogue has its command, with flags for its fields; and what a command loads is little."""

from __future__ import annotations

import inspect
import re
import resource
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any, get_origin

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from ave.api.nouns import NOUNS
from ave.api.problems import CODES
from ave.api.routes import catalogue
from ave.cli.main import with_nouns
from ave.cli.remote.asking import form_of, requests
from ave.cli.remote.commands import command_of, words_of
from ave.cli.remote.failures import EXITS, Exit, Usage, of_problem
from ave.cli.remote.fields import Flag
from ave.cli.remote.names import NOUN_ALIASES, VERBS, VIRSH
from ave.cli.remote.words import unit_of
from ave.model.vm import Priority
from ave.model.volume import StoragePolicy
from ave.operations import OPERATIONS, Operation

ROOT = Path(__file__).parents[3]
HEAVY = (
    "numpy",
    "networkx",
    "scipy",
    "grpc",
    "textual",
    "simpy",
    "starlette",
    "uvicorn",
    "yaml",
    "jsonpath",
    "asyncio",
)
VERSION_CPU_SECONDS = 0.25


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_entry_of_the_catalogue_has_a_command_with_help(name: str) -> None:
    entry = catalogue()[name]
    for word in words_of(entry):
        found = with_nouns()[entry.noun][word]
        assert found.help
        collection = found.assemble_argument_collection()
        assert all(argument.parameter.name for argument in collection)


def test_nothing_is_renamed_that_is_not_there() -> None:
    verbs = {entry.verb for entry in catalogue().values()}
    assert set(VERBS) <= {*catalogue(), *verbs}
    assert set(VIRSH.values()) <= set(catalogue())
    assert set(NOUN_ALIASES) <= set(NOUNS)


class Sprocket(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    teeth: int
    length_mib: int | UnsetType = UNSET
    chains: tuple[str, ...] = ()
    priority: Priority = Priority.LOW
    labels: dict[str, str] = {}
    round: bool = True
    policy: StoragePolicy = StoragePolicy()


class TurnSprockets(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[Sprocket, ...]
    times: float = 1.0


class NameOne(msgspec.Struct, frozen=True, kw_only=True):
    vm: str
    fast: bool = False


def test_every_problem_has_its_exit_code_and_the_guide_has_every_code() -> None:
    for code, status in CODES.items():
        assert of_problem({"code": code, "detail": "what"}, status).exit not in (Exit.OK, Exit.INTERRUPTED)
        assert code in EXITS, code
    guide = (ROOT / "docs" / "cli.md").read_text().partition("## Exit codes")[2]
    assert [int(line.split("|")[1]) for line in guide.splitlines() if re.match(r"\| \d", line)] == [*Exit]


def operation(request: type[Any], verb: str = "turn") -> Operation:
    return Operation(f"vm.{verb}", request, "turn them")


def test_an_operation_that_nobody_here_knows_gets_its_command_from_its_fields() -> None:
    command = command_of(operation(TurnSprockets))
    flags = inspect.signature(command).parameters
    assert {"names", "teeth", "length_mib", "chains", "labels", "round", "policy__replicas", "times"} <= set(flags)
    assert flags["teeth"].default is inspect.Parameter.empty
    form = form_of(operation(TurnSprockets))
    assert [flag.name for flag in form.flags] == [
        *("--teeth", "--length", "--chain", "--priority", "--label", "--round"),
        *("--replicas", "--thin", "--stripes", "--stripe", "--times"),
    ]
    given = {"teeth": 3, "length_mib": "2GiB", "chains": ("a", "b"), "labels": ("x=y",), "policy__stripe_kib": "4KiB"}
    own = {"teeth": 3, "length_mib": 2048, "chains": ("a", "b"), "labels": {"x": "y"}, "policy": {"stripe_kib": 4}}
    (one,) = requests(form, ["s"], {**given, "times": 2.0})
    assert (one.method, one.path, one.body) == ("POST", "/v1/vms/s:turn", {**own, "times": 2.0})
    (many,) = requests(form, ["s", "t"], given)
    assert many.path == "/v1/vms:batch-turn"
    assert many.body == {"vms": [{"id": "s", **own}, {"id": "t", **own}]}
    assert msgspec.convert(many.body, TurnSprockets).vms[0].policy.stripe_kib == 4


def test_what_the_api_has_only_for_one_is_asked_for_each() -> None:
    sent = requests(form_of(operation(NameOne)), ["a", "b/c"], {"fast": True})
    assert [each.path for each in sent] == ["/v1/vms/a:turn", "/v1/vms/b%2Fc:turn"]
    assert [each.body for each in sent] == [{"fast": True}] * 2


def test_an_edit_that_changes_nothing_is_not_asked_for() -> None:
    with pytest.raises(Usage, match="what shall be changed"):
        requests(form_of(OPERATIONS["vm.edit"]), ["a"], {})


@pytest.mark.parametrize("name", sorted(name for name, entry in OPERATIONS.items() if entry.by_user))
def test_what_is_sent_for_several_is_a_request_of_the_catalogue(name: str) -> None:
    form = form_of(OPERATIONS[name])
    given = {flag.variable: _some(flag) for flag in form.flags if flag.required or form.entry.verb == "edit"}
    for sent in requests(form, [] if form.noun.only else ["a", "b"], given):
        if form.many is not None:
            msgspec.convert(sent.body, form.entry.request, strict=True)
        else:
            assert sent.path.startswith(f"/v1/{form.noun.plural}")


def _some(flag: Flag) -> Any:
    """A value for it, as it comes from the command line."""
    if unit_of(flag.field):
        return ("4GiB",) if get_origin(flag.kind) is tuple else "4GiB"
    if get_origin(flag.kind) is dict:
        return ("a=b",)
    if get_origin(flag.kind) is tuple:
        return ()
    if issubclass(flag.kind, Enum):
        return next(iter(flag.kind)).value
    return {bool: True, int: 1, float: 1.0, str: "x"}[flag.kind]


def loaded(*words: str) -> list[str]:
    """What of the heavy ones a command loads; it is given nobody to speak with."""
    program = f"""
import sys
sys.argv = ["ave", *{words!r}]
from ave.cli.main import main
try:
    main()
except SystemExit:
    pass
print(" ".join(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return run.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("vm", "create", "--help"),
        ("vm", "ls", "--context", "http://127.0.0.1:1"),
        ("vm", "ls", "-w", "--context", "http://127.0.0.1:1"),
        ("vm", "delete", "a", "-y", "--context", "http://127.0.0.1:1"),
        ("explain", "placement", "a", "--context", "http://127.0.0.1:1"),
        ("wait", "vm/a", "--for", "state=running", "--context", "http://127.0.0.1:1"),
        ("context", "ls"),
    ],
    ids=" ".join,
)
def test_a_client_loads_nothing_that_it_does_not_need(words: tuple[str, ...]) -> None:
    assert loaded(*words) == []


def test_the_version_is_told_at_once() -> None:
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "ave.cli.main", "--version"], cwd=ROOT, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) <= VERSION_CPU_SECONDS, times
