"""libvirt's errors as ours, by who must act. Its own words are always kept.

Of a call whose connection ended nobody knows what became of it. Of any other error libvirt knows: it did not happen.
"""

from __future__ import annotations

import libvirt

from ave.errors import AveError, Refused, Unavailable, UnknownOutcome

# the request must be changed, or the configuration of the host: to try again would be of no use
REFUSED = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_XML_ERROR,
    libvirt.VIR_ERR_XML_DETAIL,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_DENIED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_ACCESS_DENIED,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_MIGRATE_UNSAFE,
    libvirt.VIR_ERR_CPU_INCOMPATIBLE,
    libvirt.VIR_ERR_NO_SECRET,
}
LOST = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)  # where an error comes from when the connection ends


def is_gone(error: libvirt.libvirtError) -> bool:
    """There is no such domain, or it does not run: whichever, it need not be ended."""
    return error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)


def is_lost(error: libvirt.libvirtError) -> bool:
    return error.get_error_domain() in LOST


def mapped(what: str, error: libvirt.libvirtError, *, alive: bool, mutates: bool) -> AveError:
    """``alive``: is the connection that was asked still there?"""
    said = f"{what}: libvirt: {error.get_error_message() or error}"
    if is_lost(error) or not alive:
        return UnknownOutcome(said) if mutates else Unavailable(said)
    if mutates and error.get_error_code() in REFUSED:
        return Refused(said)
    return Unavailable(said)
