"""Values for the parameters of faults and actions, drawn from what their rows in the tables say, whatever they are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ave.operations import OPERATIONS
from sim.chance import Source, below, choice, exponential, happens, sample, uniform
from sim.scenario.catalogue import Parameter, Value

LONGEST_SECONDS = 300.0  # of a parameter: longer ones would outlast what they are meant to disturb
WIDE = 20.0  # bounds so far apart, as a ratio, are drawn by order of magnitude
SMALL = 1e-3  # what counts as the low end of a scale that begins at 0
MEAN_COUNT = 2.0  # above the least: thousands would only take time
PLAIN_RATIO = 0.4  # how often a parameter that has a default keeps it
WORDS = ("alpha", "beta", "gamma")  # few, so that what is made, changed and deleted is the same thing now and then

Names = Mapping[str, tuple[str, ...]]


def names_of(
    hosts: tuple[str, ...], zones: tuple[str, ...], fleets: tuple[str, ...], networks: tuple[str, ...]
) -> Names:
    """What a text parameter of that name may say; those of other names say one of WORDS."""
    return {
        "host": hosts,
        "hosts": hosts,
        "peer": hosts,
        "zone": zones,
        "fleet": fleets,
        "network": networks,
        "operation": tuple(name for name, operation in OPERATIONS.items() if operation.by_user),
    }


def given(source: Source, parameters: tuple[Parameter, ...], names: Names) -> dict[str, Value]:
    """As a scenario file says it; what keeps its default is not said."""
    said: dict[str, Value] = {}
    for parameter in parameters:
        if parameter.default is not None and happens(source, PLAIN_RATIO):
            continue
        value = _value(source, parameter, names)
        if value != "":
            said[parameter.name] = value
    return said


def seconds(value: float) -> str:
    """To the tenth, or to the millisecond if it is short."""
    return f"{value:.1f}".removesuffix(".0") + "s" if value >= 1.0 else f"{max(1, round(value * 1000))}ms"


def _value(source: Source, parameter: Parameter, names: Names) -> Value:
    match parameter.unit:
        case "seconds":
            return seconds(_between(source, parameter.low, min(parameter.high, LONGEST_SECONDS)))
        case "ratio":
            value = _between(source, parameter.low, parameter.high)
            return min(max(float(f"{value:.5g}"), parameter.low), parameter.high)
        case "count":
            return int(min(parameter.low + int(exponential(source, MEAN_COUNT)), parameter.high))
        case "flag":
            return happens(source, 0.5)
        case "text":
            return _text(source, parameter, names)


def _between(source: Source, low: float, high: float) -> float:
    if math.isinf(high):
        high = max(10.0 * low, 10.0)
    least = max(low, SMALL)
    if low < 0.0 or high / least <= WIDE or high <= 1.0:
        return uniform(source, low, high)
    return least * math.exp(uniform(source, 0.0, math.log(high / least)))


def _text(source: Source, parameter: Parameter, names: Names) -> str:
    if parameter.choices:
        return str(choice(source, parameter.choices))
    known = names.get(parameter.name, WORDS)
    if not known:
        return ""
    if parameter.name == "hosts":
        return ",".join(sample(source, known, 1 + below(source, min(3, len(known)))))
    return choice(source, known)
