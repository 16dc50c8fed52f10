"""A workload like that of a public cloud, made up from figures: no recording is shipped.

Source of every figure: Azure Public Dataset V1, 2017 (Cortez et al., SOSP'17); 24 days for the hours of a day, three
and a half for all else. The age of a VM still alive at the end of the recording counts as its life, so nobody here lives
for more than four days. What depends on the size of a batch is drawn by its size: large batches are of small VMs that
live for half an hour, single VMs are mixed and live for hours.
"""

from __future__ import annotations

import math
from itertools import accumulate

import msgspec

from sim.chance import Curve, Weights, stream
from sim.traces import Workload

HOUR = 3600.0
VMS_PER_SECOND = 259.159 / 300.0  # the mean of all 5-minute bins

#: Arrivals of batches by the hour of the day, against the mean.
HOURS = (
    *(0.673, 0.671, 0.624, 0.615, 0.681, 0.777, 0.883, 0.971, 1.033, 1.168, 1.249, 1.236),
    *(1.218, 1.338, 1.409, 1.386, 1.323, 1.289, 1.209, 1.049, 0.945, 0.859, 0.772, 0.711),
)

#: VMs of a batch. Straight between knots and rounded up, so a knot is the share of batches up to that size.
BATCH_SIZE = Curve(
    shares=(
        *(0.0, 0.57919, 0.7642, 0.82639, 0.86469, 0.88725, 0.90115, 0.92167, 0.93583, 0.95248, 0.96556, 0.97548),
        *(0.98411, 0.98767, 0.9901, 0.99209, 0.99477, 0.99638, 0.99795, 0.999, 0.99959, 0.99992, 0.99998, 1.0),
    ),
    values=(
        *(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0, 30.0),
        *(45.0, 60.0, 74.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0, 550.0, 587.0),
    ),
)

#: vCPUs and MiB of a VM; the ten rarer ones make up 0.06 %.
SHAPES = ((1, 768), (1, 1792), (2, 3584), (4, 7168), (8, 14336), (8, 57344))

#: Seconds of a life at the knots of ``Kind.lives``.
LIVES = (
    *(0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0, 1800.0, 2100.0, 2400.0, 2700.0, 3000.0, 3600.0),
    *(7200.0, 10800.0, 14400.0, 21600.0, 28800.0, 39600.0, 50400.0, 64800.0, 86400.0, 172800.0, 259200.0, 345600.0),
)


class Kind(msgspec.Struct, frozen=True):
    """Batches of up to so many VMs: weights of the shapes, shares of the lives below each knot.

    Siblings are alike: so often a VM has the shape, or the life, that was drawn for its batch instead of its own.
    """

    most: int
    shapes: tuple[float, ...]
    lives: tuple[float, ...]
    same_shape: float = 0.0
    same_life: float = 0.0


# fmt: off
KINDS = (
    Kind(
        1,
        (0.0702, 0.6283, 0.1983, 0.0633, 0.031, 0.0057),
        (0.0, 0.0885, 0.1545, 0.2086, 0.2528, 0.2975, 0.3294, 0.3532, 0.3722, 0.3874, 0.4006, 0.4214,
         0.5126, 0.5605, 0.607, 0.6638, 0.715, 0.7799, 0.8427, 0.8978, 0.9292, 0.9815, 0.9955, 1.0),
    ),
    Kind(
        2,
        (0.0443, 0.5769, 0.235, 0.0862, 0.0453, 0.0108),
        (0.0, 0.0855, 0.1483, 0.2099, 0.2615, 0.3064, 0.3447, 0.3771, 0.398, 0.4121, 0.4268, 0.4558,
         0.5526, 0.5977, 0.6425, 0.6973, 0.7439, 0.8086, 0.8641, 0.922, 0.9463, 0.9885, 0.9983, 1.0),
        same_shape=0.93,
        same_life=0.74,
    ),
    Kind(
        6,
        (0.0242, 0.5185, 0.2657, 0.1062, 0.074, 0.0105),
        (0.0, 0.1014, 0.1802, 0.2409, 0.288, 0.3368, 0.3677, 0.3863, 0.403, 0.4243, 0.4379, 0.4605,
         0.5384, 0.5699, 0.5999, 0.6593, 0.7125, 0.7862, 0.8463, 0.905, 0.9372, 0.9858, 0.9978, 1.0),
        same_shape=0.91,
        same_life=0.77,
    ),
    Kind(
        20,
        (0.0045, 0.2997, 0.3973, 0.1391, 0.149, 0.0103),
        (0.0, 0.1817, 0.2805, 0.3707, 0.4748, 0.5651, 0.6114, 0.6355, 0.6553, 0.6771, 0.6887, 0.7023,
         0.7674, 0.8003, 0.8178, 0.8471, 0.871, 0.8925, 0.9129, 0.9363, 0.9569, 0.9849, 0.9958, 1.0),
        same_shape=0.83,
        same_life=0.71,
    ),
    Kind(
        74,
        (0.0045, 0.3461, 0.2589, 0.1369, 0.2463, 0.0073),
        (0.0, 0.1762, 0.2858, 0.3788, 0.4563, 0.519, 0.5603, 0.5916, 0.6192, 0.6438, 0.6584, 0.683,
         0.8337, 0.8783, 0.8996, 0.9203, 0.9308, 0.9385, 0.9468, 0.9566, 0.9755, 0.9909, 0.9987, 1.0),
        same_shape=0.88,
        same_life=0.71,
    ),
    Kind(
        587,
        (0.0, 0.8823, 0.0228, 0.076, 0.019, 0.0),
        (0.0, 0.0755, 0.2399, 0.4126, 0.5879, 0.7098, 0.7678, 0.8068, 0.8472, 0.877, 0.8846, 0.9041,
         0.9469, 0.9623, 0.9693, 0.9761, 0.9817, 0.9842, 0.9855, 0.9928, 0.9958, 0.9981, 0.9997, 1.0),
        same_shape=0.94,
        same_life=0.72,
    ),
)
# fmt: on

assert len(HOURS) == 24
assert len(BATCH_SIZE.shares) == len(BATCH_SIZE.values)
assert KINDS[-1].most == BATCH_SIZE.values[-1]
assert all(len(kind.shapes) == len(SHAPES) and len(kind.lives) == len(LIVES) for kind in KINDS)


def generate(vms: int, *, seed: int, name: str = "azure", span: float | None = None) -> Workload:
    """Exactly so many VMs over ``span`` seconds, beginning at midnight; without it, at the pace of the recording.

    ValueError for less than one VM or no time.
    """
    if vms < 1 or (span is not None and not 0.0 < span < math.inf):
        raise ValueError(f"not a workload: {vms} VMs in {span} seconds")
    sizes = _sizes(vms, seed, name)
    moments = _moments(len(sizes), vms / VMS_PER_SECOND if span is None else span, seed, name)
    shape_weights = [Weights.of(kind.shapes) for kind in KINDS]
    life_curves = [Curve(kind.lives, LIVES) for kind in KINDS]
    life, shape = stream(seed, f"{name}/life"), stream(seed, f"{name}/shape")
    arrive: list[float] = []
    batches: list[int] = []
    shapes: list[tuple[int, int]] = []
    lives: list[float | None] = []
    for batch, (moment, size) in enumerate(zip(moments, sizes, strict=True)):
        which = next(index for index, kind in enumerate(KINDS) if size <= kind.most)
        kind, weights, curve = KINDS[which], shape_weights[which], life_curves[which]
        common_shape, common_life = weights.pick(shape), curve.draw(life)
        for _ in range(size):
            own = shape.random() >= kind.same_shape
            shapes.append(SHAPES[weights.pick(shape) if own else common_shape])
            own = life.random() >= kind.same_life
            lives.append(curve.draw(life) if own else common_life)
        arrive += [moment] * size
        batches += [batch] * size
    return Workload(
        ids=tuple([f"{name}-{number}" for number in range(1, vms + 1)]),
        arrive=tuple(arrive),
        batch=tuple(batches),
        vcpu=tuple([vcpu for vcpu, _ in shapes]),
        memory_mib=tuple([memory for _, memory in shapes]),
        life=tuple(lives),
    )


def _sizes(vms: int, seed: int, name: str) -> list[int]:
    """Of the batches; the last one is cut so that the sum is right."""
    source = stream(seed, f"{name}/size")
    sizes: list[int] = []
    left = vms
    while left:
        size = min(max(math.ceil(BATCH_SIZE.draw(source)), 1), left)
        sizes.append(size)
        left -= size
    return sizes


def _moments(count: int, span: float, seed: int, name: str) -> list[float]:
    """When each batch arrives, in order: independent of each other, more by day than by night."""
    ends = [hour * HOUR for hour in range(1, math.ceil(span / HOUR))] + [span]
    starts = [0.0, *ends[:-1]]
    parts = [HOURS[index % 24] * (end - start) for index, (start, end) in enumerate(zip(starts, ends, strict=True))]
    totals = [0.0, *accumulate(parts)]
    clock = Curve(tuple([total / totals[-1] for total in totals]), (0.0, *ends))
    source = stream(seed, f"{name}/moment")
    return sorted(clock.draw(source) for _ in range(count))
