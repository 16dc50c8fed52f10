"""The smallest guest that obeys: one sector that switches its machine off when the power button is pressed.

It boots in a fraction of a second even where guests are emulated. It has no agent, and does not let go of PCI devices.
"""

PM_BASE = 0x600  # where SeaBIOS puts the ports of power management
BUTTON = 0x0100  # bit of the status and of the enable port
OFF = 0x2000  # into the control port: sleep state 5, now

SIZE = 512
SIGNATURE = b"\x55\xaa"


def obedient() -> bytes:
    """mov dx,602h; mov ax,0100h; out dx,ax; sti; again: hlt; mov dx,600h; in ax,dx; test ah,1; jz again;
    mov dx,604h; mov ax,2000h; out dx,ax; jmp again"""
    begin = _move_dx(PM_BASE + 2) + _move_ax(BUTTON) + b"\xef" + b"\xfb"
    look = b"\xf4" + _move_dx(PM_BASE) + b"\xed" + b"\xf6\xc4\x01"
    off = _move_dx(PM_BASE + 4) + _move_ax(OFF) + b"\xef"
    look += b"\x74" + _back(len(look) + 2)
    off += b"\xeb" + _back(len(look) + len(off) + 2)
    return _sector(begin + look + off)


def deaf() -> bytes:
    """sti; again: hlt; jmp again"""
    return _sector(b"\xfb\xf4\xeb\xfd")


def _move_dx(value: int) -> bytes:
    return b"\xba" + value.to_bytes(2, "little")


def _move_ax(value: int) -> bytes:
    return b"\xb8" + value.to_bytes(2, "little")


def _back(length: int) -> bytes:
    return (-length).to_bytes(1, "little", signed=True)


def _sector(code: bytes) -> bytes:
    return code.ljust(SIZE - len(SIGNATURE), b"\0") + SIGNATURE
