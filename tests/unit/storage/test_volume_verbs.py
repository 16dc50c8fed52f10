"""The Splitters of the volume verbs: which state and which request lead to which step, and that nothing else is touched."""

import itertools

import pytest

from ave.errors import Refused
from ave.jobs.verb import Found
from ave.model.cluster import lock_name
from ave.model.volume import StoragePolicy, Volume, VolumeState
from ave.operations import CreateVolumes, GrowVolumes, NameVolumes, NewVolume
from ave.storage.create import CREATE
from ave.storage.delete import DELETE
from ave.storage.grow import GROW

ABSENT = None
HELD = "held"  # its lock is held by another Job: the Splitter does not see it
WHAT_THERE_MAY_BE = [
    ABSENT,
    HELD,
    *(Volume(id="d", size_gib=20, state=state, vm=vm) for state, vm in itertools.product(VolumeState, ("", "web-1"))),
]
IDS = [
    what if isinstance(what, str) else "absent" if what is None else f"{what.state}{' of a VM' * bool(what.vm)}"
    for what in WHAT_THERE_MAY_BE
]


def found(there):
    return Found({} if there == HELD else {(Volume, "d"): there})


@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_volume_is_made_exactly_if_there_is_none(there):
    split = CREATE.split(CreateVolumes(volumes=(NewVolume(id="d", size_gib=5),)), found(there))
    assert split.writes == ()
    if there is ABSENT:
        (step,) = split.steps.values()
        assert (step.function, step.resource, step.undo) == ("volume.create", "d", "volume.discard")
        assert split.results == {}
    elif there == HELD:
        assert (split.steps, split.results) == ({}, {})
    else:
        assert split.steps == {}
        assert not split.results["d"].ok
        assert split.results["d"].why.startswith("there already is a volume d")
        assert ("of VM web-1" in split.results["d"].why) is bool(there.vm)


@pytest.mark.parametrize("size", [1, 19, 20, 21, 40])
@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_volume_grows_exactly_if_it_is_ready_and_smaller_whosever_it_is(there, size):
    split = GROW.split(GrowVolumes(sizes_gib={"d": size}), found(there))
    assert split.writes == ()
    if there == HELD:
        assert (split.steps, split.results) == ({}, {})
    elif there is not ABSENT and there.state is VolumeState.READY and size > 20:
        grow, *rest = split.steps.values()
        assert (grow.function, grow.arguments, split.results) == ("volume.grow", {"size_gib": size}, {})
        assert [(show.function, show.fact, show.needs) for show in rest] == [
            ("volume.show", "d", ("grow/d",)) for _ in [1] if there.vm
        ]
    else:
        assert split.steps == {}
        why = split.results["d"].why
        expected = (
            "there is no volume d"
            if there is ABSENT
            else f"volume d is {there.state}: grow needs it ready"
            if there.state is not VolumeState.READY
            else f"volume d has 20 GiB: it can only grow, and not to {size}"
        )
        assert (split.results["d"].ok, why) == (False, expected)


@pytest.mark.parametrize("there", WHAT_THERE_MAY_BE, ids=IDS)
def test_a_volume_is_deleted_in_any_state_unless_a_vm_has_it(there):
    split = DELETE.split(NameVolumes(volumes=("d",)), found(there))
    assert split.writes == ()
    if there == HELD:
        assert (split.steps, split.results) == ({}, {})
    elif there is not ABSENT and not there.vm:
        assert [step.function for step in split.steps.values()] == ["volume.delete"]
        assert split.results == {}
    else:
        assert split.steps == {}
        assert not split.results["d"].ok
        assert ("VM web-1" if there else "there is no volume d") in split.results["d"].why


def test_of_a_batch_the_illegal_are_refused_one_by_one_and_the_rest_goes_on():
    docs = {(Volume, "a"): Volume(id="a", size_gib=1, vm="web-1"), (Volume, "b"): Volume(id="b", size_gib=1)}
    split = DELETE.split(NameVolumes(volumes=("a", "b", "c")), Found({**docs, (Volume, "c"): None}))
    assert [step.resource for step in split.steps.values()] == ["b"]
    assert sorted(split.results) == ["a", "c"]


@pytest.mark.parametrize("verb", [CREATE, GROW, DELETE], ids=lambda verb: verb.operation)
def test_every_named_volume_is_locked(verb):
    request = {
        "volume.create": CreateVolumes(volumes=tuple(NewVolume(id=id, size_gib=1) for id in "ab")),
        "volume.grow": GrowVolumes(sizes_gib={"a": 1, "b": 2}),
        "volume.delete": NameVolumes(volumes=("a", "b")),
    }[verb.operation]
    assert [lock_name(*resource) for resource in verb.resources(request)] == ["volume/a", "volume/b"]


@pytest.mark.parametrize(
    ("policy", "legal"),
    [
        *(({"replicas": n}, 1 <= n <= 3) for n in (-1, 0, 1, 2, 3, 4)),
        *(({"stripes": n}, n in (1, 2, 4, 8, 16, 32, 64, 128)) for n in range(-1, 131)),
        *(({"stripe_kib": n}, n in (4, 8, 16, 32, 64, 128, 256)) for n in range(-1, 300)),
        ({"stripes": 256}, False),
        ({"stripe_kib": 512}, False),
        ({"thin": False}, True),
        ({}, True),
    ],
    ids=str,
)
def test_a_policy_is_as_the_storage_can_do_it(policy, legal):
    request = CreateVolumes(volumes=(NewVolume(id="d", size_gib=1, policy=StoragePolicy(**policy)),))
    if legal:
        assert CREATE.split(request, found(ABSENT)).steps
    else:
        (name,) = policy
        with pytest.raises(Refused, match=rf"volume d: {name} is {policy[name]}, it must be .* to "):
            CREATE.split(request, found(ABSENT))


@pytest.mark.parametrize(("size", "legal"), [(-1, False), (0, False), (1, True), (65536, True), (65537, False)])
def test_a_size_has_bounds(size, legal):
    for verb, request, there in (
        (CREATE, CreateVolumes(volumes=(NewVolume(id="d", size_gib=size),)), ABSENT),
        (GROW, GrowVolumes(sizes_gib={"d": size}), Volume(id="d", size_gib=0, state=VolumeState.READY)),
    ):
        if legal:
            assert verb.split(request, found(there)).steps
        else:
            with pytest.raises(Refused, match=f"volume d: size_gib is {size}, it must be 1 to 65536"):
                verb.split(request, found(there))


@pytest.mark.parametrize("name", ["", "a/b", "x" * 129, "a\nb"])
def test_a_name_must_be_one_that_can_be_locked_and_printed(name):
    with pytest.raises(Refused, match="volume name"):
        CREATE.split(CreateVolumes(volumes=(NewVolume(id=name, size_gib=1),)), Found({(Volume, name): None}))


def test_what_nobody_says_about_a_policy_is_the_products_default():
    assert StoragePolicy() == StoragePolicy(replicas=2, thin=True, stripes=8, stripe_kib=256)
