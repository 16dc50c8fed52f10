"""What is kept of a domain in its own metadata, and what a VM is called there.

A VM may be called anything; libvirt's names, and the files that it makes of them, are made from the id and never hold it.
The id itself is in the record, which is JSON of plain ASCII: nothing in it can be anything but text to XML.
"""

from __future__ import annotations

import json
import re
import uuid
import xml.etree.ElementTree as ET

import msgspec

from ave.model.vm import VM
from drivers.phases import Phase
from drivers.rights import Rights

NAMESPACE, PREFIX = "urn:ave:domain:1", "ave"
TAG = f"{{{NAMESPACE}}}domain"
VMS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ave:vm")
OURS = "ave-"  # how the names of our domains begin
WORD_LENGTH = 24

ET.register_namespace(PREFIX, NAMESPACE)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The incarnation of a VM that a domain is. ``rights`` are the newest that were accepted for the VM here."""

    vm: VM
    epoch: int
    phase: Phase
    boot: str = ""  # of the host, in which it ran; "" until it has begun to
    rights: Rights = ()
    target: str = ""  # where its memory goes, or went, when it is leaving
    cpus: tuple[int, ...] = ()  # of the host, that it has for itself


def uuid_of(vm: str) -> str:
    return str(uuid.uuid5(VMS, vm))


def name_of(vm: str) -> str:
    """For people to recognise, and as unique as its end."""
    word = re.sub(r"[^A-Za-z0-9]+", "-", vm)[:WORD_LENGTH].strip("-")
    return f"{OURS}{word}-{uuid_of(vm).replace('-', '')[-12:]}"


def encoded(record: Record) -> str:
    """The element that holds it."""
    element = ET.Element("domain")
    element.text = json.dumps(msgspec.to_builtins(record), ensure_ascii=True)
    return ET.tostring(element, encoding="unicode")


def element_of(record: Record) -> ET.Element:
    element = ET.Element(TAG)
    element.text = ET.fromstring(encoded(record)).text
    return element


def decoded(text: str | None) -> Record | None:
    """None for what no record of ours is."""
    try:
        return msgspec.json.decode((text or "").strip(), type=Record)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def decoded_element(xml: str) -> Record | None:
    try:
        return decoded(ET.fromstring(xml).text)
    except ET.ParseError:
        return None
