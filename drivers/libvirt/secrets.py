"""Passwords that libvirt keeps for its guests' disks, by usage name. They go there and never come back."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import libvirt

from drivers.libvirt.link import Link


def keep(link: Link, usage: str, password: bytes) -> None:
    """From now on that name means this password on that host, also after it has booted anew. Blocks."""
    with link.doing(f"keep the secret {usage}") as connection:
        try:
            secret = connection.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_ISCSI, usage)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                raise
            secret = connection.secretDefineXML(_xml(usage))
        secret.setValue(password)


def _xml(usage: str) -> str:
    root = ET.Element("secret", ephemeral="no", private="yes")
    ET.SubElement(ET.SubElement(root, "usage", type="iscsi"), "target").text = usage
    return ET.tostring(root, encoding="unicode")
