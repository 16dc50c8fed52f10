"""What type its guests have, a host finds out by booting one."""

import time

import msgspec
import pytest

from drivers.libvirt.link import session
from drivers.libvirt.probe import boots, kind_of
from tests.real.bed.guest_image import guest_image

pytestmark = pytest.mark.timeout(240)


def test_a_kernel_that_runs_comes_to_its_panic_and_ends(libvirt_lab):
    link = libvirt_lab.drivers["a"].here.link
    with session():
        assert boots(link, guest_image().kernel, "qemu", 120.0)


def test_what_hangs_does_not_boot(libvirt_lab):
    link = libvirt_lab.drivers["a"].here.link
    with session():
        assert not boots(link, guest_image().kernel, "qemu", 0.5)
        assert link.connection().listAllDomains(0) == [], "the guest is gone"


def test_the_answer_is_kept(libvirt_lab, tmp_path):
    link = libvirt_lab.drivers["a"].here.link
    settings = libvirt_lab.boxes["a"].settings(probe_kernel=str(guest_image().kernel))
    settings = msgspec.structs.replace(settings, kind="probe", state=tmp_path)
    with session():
        first = kind_of(settings, link)
        assert first in ("kvm", "qemu")
        began = time.monotonic()
        assert kind_of(settings, link) == first
        assert time.monotonic() - began < 0.5
        (kept,) = tmp_path.glob("domain-type-*")
        kept.write_text("kvm")
        assert kind_of(settings, link) == "kvm"
