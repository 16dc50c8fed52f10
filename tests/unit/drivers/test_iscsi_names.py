"""Names on the wire follow from what things are called, and no two of them are the same."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iscsi import names

ANY = st.text(st.characters(codec="utf-8"), max_size=300)


@given(ANY, ANY)
def test_two_names_are_never_written_alike(one, other):
    assert (names.part(one) == names.part(other)) is (one == other)


@given(ANY, ANY, st.integers(0, 2**63))
def test_every_name_is_one_that_iscsi_takes(volume, host, epoch):
    for name in (names.target(volume, host, epoch), names.initiator(host, epoch)):
        assert len(name) <= 223
        assert set(name) <= set(string.ascii_lowercase + string.digits + ".:-")


@given(ANY, ANY)
def test_targets_of_one_volume_begin_alike_and_those_of_no_other_do(volume, other):
    name = names.target(volume, "host", 7)
    assert name.startswith(names.prefix(volume))
    assert name.startswith(names.prefix(other)) is (volume == other)
    assert names.ours([name, "iqn.2000-01.org.other:disk"]) == {names.prefix(volume)}


def test_a_long_name_is_told_from_a_short_one_that_looks_like_it():
    long = "x" * 100
    assert names.part(names.part(long)) != names.part(long)


def test_another_epoch_another_host_or_another_volume_is_another_target():
    ways = [names.way("portal", *each) for each in (("v", "a", 1), ("v", "a", 2), ("v", "b", 1), ("w", "a", 1))]
    assert len({way.target for way in ways}) == 4
    assert [way.user for way in ways] == ["host.a", "host.a", "host.b", "host.a"]


@pytest.mark.parametrize("other", [(b"key", "b"), (b"kez", "a")])
def test_a_secret_belongs_to_one_host_of_one_cluster(other):
    assert names.chap_secret(b"key", "a") == names.chap_secret(b"key", "a") != names.chap_secret(*other)
