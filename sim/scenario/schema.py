"""The shape of a scenario file, as tables: keys, what each may be, its bounds and its default.

What no table can say, because it needs two places of the file, is in ``check``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ave.model.group import Rule
from ave.model.host import HostState
from ave.placement.filters import ANY_MODEL, FILTERS
from ave.placement.place import TARGET
from drivers.sim.physics import HARDWARE
from sim.scenario.catalogue import ActionKind, Catalogue, FaultKind, Parameter
from sim.scenario.rules import (
    Aimed,
    Amount,
    ByKey,
    Counts,
    Field,
    Flag,
    Many,
    OneOf,
    Plain,
    Real,
    Record,
    Text,
    Whole,
    Word,
)
from sim.scenario.rules import Rule as Shaped
from sim.scenario.units import (
    YEAR,
    mebibytes,
    per_second,
    percent,
    ratio,
    seconds,
    show_mebibytes,
    show_seconds,
    show_size,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

API_VERSION = "ave.sim/v1"
MOST_HOSTS = 10_000
MOST_VMS = 1_000_000
MOST_CPUS = 4096  # logical CPUs of one host
MOST_VCPUS = 1024  # of one VM
MOST_MEMORY_MIB = 64 << 20  # 64 TiB, of a host or a VM
MOST_DISK_BYTES = 1 << 50  # 1 PiB
LONGEST = 10 * YEAR
MOST_PLUGGED = 1_000_000  # virtual NICs or volumes of one host
MOST_RUNS = 10_000  # of one file, over its seeds and its matrix
MOST_SEED = (1 << 63) - 1
VM_STATES = ("running", "paused", "off")  # what its domains do
MOST_COUNT = 1_000_000_000  # of a parameter that declares no bound of its own


def _lasting(low: float, high: float = LONGEST) -> Amount:
    return Amount(seconds, low, min(high, LONGEST), show_seconds)


def _memory(low: int) -> Amount:
    return Amount(mebibytes, low, MOST_MEMORY_MIB, show_mebibytes)


NAME = Text(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", "a name of a–z, 0–9 and - (at most 63 characters)")
LINE = Text(r"[^\x00-\x1f\x7f]{1,1000}", "one line of text (at most 1000 characters)")
PROSE = Text(r"[\s\S]{0,4000}", "text (at most 4000 characters)")
PATH = Text(
    r"[A-Za-z][A-Za-z0-9-]*(?:\[[0-9]{1,5}\]|\.[A-Za-z][A-Za-z0-9-]*){0,16}", "a place in spec, such as timeline[0].for"
)
SOME_TIME = _lasting(0.001)
HOSTS = Whole(1, MOST_HOSTS)

METADATA = Record(
    {
        "name": Field(NAME, required=True),
        "description": Field(PROSE),
        "tags": Field(Many(NAME)),
    }
)

_OF_A_HOST = {
    "reserve": Field(_memory(0), to="reserve_mib"),
    "exclusiveCpus": Field(Whole(0, MOST_CPUS), to="exclusive_cpus"),
    "nics": Field(Whole(0, MOST_PLUGGED)),
    "volumes": Field(Whole(0, MOST_PLUGGED)),
    "cpuModel": Field(NAME, to="cpu_model"),
}
SHAPE = Record(
    {
        "hosts": Field(HOSTS, required=True),
        "cpu": Field(Whole(1, MOST_CPUS), required=True),
        "memory": Field(_memory(1), required=True, to="memory_mib"),
        "networks": Field(Many(NAME, least=1)),
        **_OF_A_HOST,
    }
)
TOPOLOGY = Record(
    {
        "hosts": Field(HOSTS),
        "cpu": Field(Whole(1, MOST_CPUS)),
        "memory": Field(_memory(1), to="memory_mib"),
        "shapes": Field(Many(SHAPE, least=1)),
        "masters": Field(Whole(1, 5)),
        "zones": Field(Counts(NAME, HOSTS), default={}),
        "primary": Field(NAME),
        "witness": Field(Flag(), default=False),
        "hardware": Field(Word("hardware", tuple(HARDWARE)), default="servers"),
        "networks": Field(Many(NAME, least=1), default=["vm-net"]),
        **_OF_A_HOST,
    }
)

LIFE = OneOf(
    "dist",
    "distribution",
    {
        "forever": Record({}),
        "fixed": Record({"value": Field(SOME_TIME, required=True, to="seconds")}),
        "exponential": Record({"mean": Field(SOME_TIME, required=True, to="mean_seconds")}),
        "lognormal": Record(
            {
                "median": Field(SOME_TIME, required=True, to="median_seconds"),
                "sigma": Field(Real(0.0, 10.0), required=True),
            }
        ),
    },
)
ARRIVE = OneOf(
    "dist",
    "distribution",
    {
        "poisson": Record(
            {
                # One batch in ten years to a million a second; the file says it per s, m, h or d.
                "rate": Field(
                    Amount(per_second, 1 / LONGEST, 1e6, "{:g}/s".format), required=True, to="batches_per_second"
                ),
                "batch": Field(Whole(1, MOST_VMS), default=1),
            }
        )
    },
)
FLEET = Record(
    {
        "fleet": Field(NAME, required=True),
        "count": Field(Whole(1, MOST_VMS), required=True),
        "vcpu": Field(Whole(1, MOST_VCPUS), required=True),
        "memory": Field(_memory(1), required=True, to="memory_mib"),
        "disk": Field(Amount(size, 1 << 20, MOST_DISK_BYTES, show_size), default=20 << 30, to="disk_bytes"),
        "ha": Field(Flag(), default=True),
        "priority": Field(Word("priority", ("high", "medium", "low")), default="medium"),
        "pinned": Field(Flag(), default=False),
        "cpuModel": Field(NAME, default=ANY_MODEL, to="cpu_model"),
        "networks": Field(Many(NAME, least=1)),
        "groups": Field(Many(NAME), default=[]),
        "arrive": Field(ARRIVE),
        "life": Field(LIFE, default={"dist": "forever"}),
    }
)
GENERATOR = Record(
    {
        "generator": Field(Word("generator", ("azure",)), required=True),
        "fleet": Field(NAME, default="azure"),
        "vms": Field(Whole(1, MOST_VMS), required=True),
        "span": Field(_lasting(1.0), to="span_seconds"),
    }
)
TRACE = Record(
    {
        "trace": Field(LINE, required=True),
        "fleet": Field(NAME, default="trace"),
        "scale": Field(Real(0.000001, 1.0), default=1.0),
    }
)
WORKLOAD = Many(ByKey("kind", {"generator": GENERATOR, "trace": TRACE, "fleet": FLEET}))

GROUP = Record(
    {
        "name": Field(NAME, required=True),
        "rule": Field(Word("rule", tuple(Rule)), required=True),
        "hosts": Field(Many(NAME, least=1)),
        "zone": Field(NAME),
        "enabled": Field(Flag(), default=True),
    }
)
_AT = {"at": Field(_lasting(0.0))}
_EXPECTED = {
    "hosts": Field(Many(NAME, least=1)),
    "zone": Field(NAME),
    "unpinned": Field(Flag()),
    "state": Field(Word("state", VM_STATES)),
    "starts": Field(Whole(0, MOST_VMS)),
    **_AT,
}
EXPECTATION = ByKey(
    "kind",
    {
        "vm": Record(
            {
                "vm": Field(NAME, required=True),
                "host": Field(NAME),
                "refused": Field(Word("filter", (TARGET, *(rule.name for rule in FILTERS)))),
                **_EXPECTED,
            }
        ),
        "fleet": Record(
            {"fleet": Field(NAME, required=True), "apart": Field(Flag()), "together": Field(Flag()), **_EXPECTED}
        ),
        "host": Record(
            {
                "host": Field(NAME, required=True),
                "state": Field(Word("state", tuple(HostState))),
                "vms": Field(Whole(0, MOST_VMS)),
                **_AT,
            }
        ),
        "alarm": Record({"alarm": Field(LINE, required=True), "raised": Field(Flag(), default=True), **_AT}),
    },
)

THRESHOLD = Record(
    {
        "expr": Field(LINE, required=True),
        "severity": Field(Word("severity", ("fail", "warn")), default="fail"),
    }
)


SETTINGS = Record(
    {
        "networkFailure": Field(Flag(), default=False, to="network_failure"),
        "guestFailure": Field(Flag(), default=False, to="guest_failure"),
    }
)


def document(catalogue: Catalogue) -> Record:
    spec = {
        "mode": Field(Word("mode", ("cluster", "capacity")), default="cluster"),
        "seed": Field(Whole(0, MOST_SEED), default=0),
        "repeat": Field(Whole(1, MOST_RUNS), default=1),
        "matrix": Field(Counts(PATH, Many(Plain(), least=1)), default={}),
        "profile": Field(Word("profile", catalogue.profiles), default="seed"),
        "settings": Field(SETTINGS, default={}),
        "batch": Field(Word("batch plan", ("spread", "compact")), default="spread"),
        "duration": Field(_lasting(1.0), required=True),
        "topology": Field(TOPOLOGY, required=True),
        "groups": Field(Many(GROUP), default=[]),
        "workload": Field(WORKLOAD, default=[]),
        "timeline": Field(Many(_entry(catalogue)), default=[]),
        "arms": Field(Many(Word("invariant", tuple(catalogue.invariants))), default=[]),
        "expect": Field(Many(EXPECTATION), default=[]),
        "thresholds": Field(Many(THRESHOLD), default=[]),
    }
    return Record(
        {
            "apiVersion": Field(Word("version", (API_VERSION,)), required=True),
            "kind": Field(Word("kind", ("Scenario",)), required=True),
            "metadata": Field(METADATA, required=True),
            "spec": Field(Record(spec), required=True),
        }
    )


_COMMON = Record({"at": Field(_lasting(0.0), required=True), "for": Field(SOME_TIME, to="lasts")})


def faults_of(catalogue: Catalogue) -> OneOf:
    return OneOf("fault", "fault", {kind.name: _happening(kind) for kind in catalogue.faults}, _COMMON)


def _entry(catalogue: Catalogue) -> ByKey:
    faults = faults_of(catalogue)
    actions = OneOf("action", "action", {kind.name: _happening(kind) for kind in catalogue.actions}, _COMMON)
    return ByKey("kind", {"fault": faults, "action": actions})


def _happening(kind: FaultKind | ActionKind) -> Record:
    fields = {"at": Field(_lasting(0.0), required=True)}
    never: dict[str, str] = {}
    if isinstance(kind, FaultKind) and kind.lasting:
        fields["for"] = Field(SOME_TIME, to="lasts")
    else:
        never["for"] = f'"{kind.name}" happens at one moment, so it takes no "for"'
    if kind.target in ("host", "hosts"):
        fields["target"] = Field(_aimed("zone"), required=True)
    elif kind.target == "vm":
        fields["target"] = Field(_aimed("fleet"), required=True)
    else:
        never["target"] = f'"{kind.name}" takes no target'
    for parameter in kind.parameters:
        fields[parameter.name] = Field(_parameter(parameter), required=parameter.default is None)
    return Record(fields, never, kind.phrase)


def _aimed(group: str) -> Aimed:
    def mode(**value: Shaped) -> Record:
        return Record({group: Field(NAME), **{key: Field(rule, required=True) for key, rule in value.items()}})

    modes = {
        "one": mode(),
        "all": mode(),
        "fixed": mode(value=Whole(1, MOST_VMS)),
        "fixed-percent": mode(value=Amount(percent, 0.0, 100.0, "{:g}%".format)),
    }
    return Aimed(NAME, OneOf("mode", "mode", modes, common=Record({group: Field(NAME)})))


def _parameter(parameter: Parameter) -> Shaped:
    show: Callable[[float], str] = "{:g}".format
    match parameter.unit:
        case "seconds":
            return _lasting(parameter.low, parameter.high)
        case "ratio":
            return Amount(ratio, parameter.low, parameter.high, show)
        case "count":
            return Whole(int(parameter.low), int(min(parameter.high, MOST_COUNT)))
        case "text":
            return Word(parameter.name, parameter.choices) if parameter.choices else LINE
        case "flag":
            return Flag()
