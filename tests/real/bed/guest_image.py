"""Build the guest: Debian's cloud kernel, and a RAM disk of busybox, the guest agent and a handful of modules.

It is built once for each set of package versions, and kept (see cache.py).
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.real.bed import cache, guest_disk
from tests.real.bed.command import BedError, run

# Without no_timer_check a guest panics now and then when emulated CPUs must wait for real ones.
COMMAND_LINE = "console=ttyS0 quiet no_timer_check panic=-1"
MEMORY_MIB = 128  # 96 boot, 80 do not

_KERNEL, _AGENT = "linux-image-cloud-amd64", "qemu-guest-agent"
_PARTS = Path(__file__).parent / "guest"
_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "virtio_net",
    "virtio_console",
    "virtio_balloon",
    "virtio-rng",
    "ext4",
    "evdev",
    "button",
)
_FOLDERS = (
    "bin",
    "dev",
    "etc/acpi/PWRF",
    "lib/modules",
    "lib64",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var/log",
)
_FILES = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\n",
    "etc/hostname": "guest\n",
    "etc/os-release": 'NAME="tiny"\nID=tiny\nVERSION_ID="1"\nPRETTY_NAME="tiny guest"\n',
}
_LINKS = {"sbin": "bin", "usr": ".", "var/run": "../run"}
_POWER_BUTTON = "etc/acpi/PWRF/00000080"  # the folder and file for which acpid looks


@dataclass(frozen=True)
class GuestImage:
    """What a domain's ``kernel``, ``initrd`` and ``cmdline`` must be, or else what its disk must begin with."""

    kernel: Path
    initrd: Path
    disk: Path  # see guest_disk.py
    command_line: str = COMMAND_LINE


def guest_image() -> GuestImage:
    """The guest of the newest packages that apt knows of; built if nobody did before (some 10 s)."""
    versions = _newest()
    recipe = hashlib.sha256(
        b"".join(path.read_bytes() for path in (Path(__file__), Path(guest_disk.__file__), *sorted(_PARTS.iterdir())))
    )
    parts = (*versions.values(), cache.installed("busybox-static"), recipe.hexdigest()[:8])
    kept = cache.folder() / f"guest-{'_'.join(parts).replace(':', '.')}"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="guest-build-") as folder:
            built = _build(Path(folder), versions)
            try:
                built.rename(kept)
            except OSError:  # another run was faster
                if not kept.is_dir():
                    raise
        cache.prune("guest-[0-9]*", keep=4)
    return GuestImage(kept / "vmlinux", kept / "initrd.gz", kept / "disk.raw")


def _newest() -> dict[str, str]:
    """The packages and versions that apt would install: of the kernel, the one that has its number in its name."""
    told = run("apt-cache", "show", "--no-all-versions", _KERNEL, _AGENT)
    kernel = re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", told, re.MULTILINE)
    agent = re.search(rf"^Package: {_AGENT}\n(?:.+\n)*?Version: (\S+)", told, re.MULTILINE)
    if not kernel or not agent:
        raise BedError(f"apt does not know both {_KERNEL} and {_AGENT}: apt-get update")
    return {kernel[1]: kernel[2], _AGENT: agent[1]}


def _build(folder: Path, versions: dict[str, str]) -> Path:
    for package, version in versions.items():
        _fetch(folder, package, version)
    packages, root, out = folder / "packages", folder / "root", folder / "out"
    for empty in _FOLDERS:
        (root / empty).mkdir(parents=True)
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    for name, text in _FILES.items():
        (root / name).write_text(text)
    for source, place in {"init": "init", "shutdown": "bin/shutdown", "udhcpc.script": "etc/udhcpc.script"}.items():
        shutil.copy(_PARTS / source, root / place)
        (root / place).chmod(0o755)
    (root / _POWER_BUTTON).symlink_to("/bin/shutdown")
    _add_busybox(root)
    _add_with_libraries(packages / "usr/sbin/qemu-ga", root)
    run("gcc", "-O2", "-static", "-s", "-o", str(root / "bin/probe"), str(_PARTS / "probe.c"))
    _add_modules(packages, root)
    out.mkdir()
    (out / "initrd.gz").write_bytes(gzip.compress(_archive(root), mtime=0))
    kernel = next(packages.glob("boot/vmlinuz-*"))
    (out / "vmlinux").write_bytes(_unpacked_kernel(kernel.read_bytes()))
    guest_disk.make(out / "disk.raw", kernel, out / "initrd.gz", COMMAND_LINE)
    return out


def _fetch(folder: Path, package: str, version: str) -> None:
    """Unpack it into ``folder/packages``; nothing is installed."""
    place = folder / package
    place.mkdir()
    place.chmod(0o777)  # apt fetches as a user of its own
    done = subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=place, capture_output=True, text=True)
    archives = list(place.glob("*.deb"))
    if done.returncode or not archives:
        raise BedError(f"apt-get download {package}={version} (after apt-get update?): {done.stderr.strip()}")
    run("dpkg-deb", "--extract", str(archives[0]), str(folder / "packages"))


def _add_busybox(root: Path) -> None:
    busybox = Path("/bin/busybox")
    shutil.copy(busybox, root / "bin/busybox")
    for applet in run(str(busybox), "--list").split():
        if not (link := root / "bin" / applet).exists():
            link.symlink_to("busybox")


def _add_with_libraries(program: Path, root: Path) -> None:
    shutil.copy(program, root / "bin")
    said = run("ldd", str(program))
    if missing := re.findall(r"(\S+) => not found", said):
        raise BedError(f"{program.name} needs {', '.join(missing)}: make test-real installs them")
    for library in re.findall(r"(/\S+\.so\S*)", said):
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), place)


def _add_modules(packages: Path, root: Path) -> None:
    """Each after those that it needs, as its own file says."""
    found = {_plain(path.name.partition(".")[0]): path for path in packages.glob("lib/modules/*/kernel/**/*.ko*")}
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name not in found:  # what is not a file is part of the kernel
            return
        needed = re.search(rb"\0depends=([^\0]*)\0", found[name].read_bytes())
        for other in needed[1].decode().split(",") if needed else ():
            add(_plain(other))
        order.append(name)

    for module in _MODULES:
        add(_plain(module))
    for name in order:
        shutil.copy(found[name], root / "lib/modules")
        run("strip", "--strip-debug", str(root / "lib/modules" / found[name].name))
    (root / "etc/modules.list").write_text("".join(f"{found[name].name}\n" for name in order))


def _plain(module: str) -> str:
    return module.replace("-", "_")


def _archive(root: Path) -> bytes:
    """The folder as the kernel wants it, the same for the same content."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    for path in (root, *root.rglob("*")):
        os.utime(path, (0, 0), follow_symlinks=False)
    command = ["cpio", "--create", "--format=newc", "--quiet", "--reproducible", "--owner=0:0"]
    done = subprocess.run(command, cwd=root, input="\n".join(names).encode(), capture_output=True)
    if done.returncode:
        raise BedError(f"cpio: {done.stderr.decode()}")
    return done.stdout


def _unpacked_kernel(image: bytes) -> bytes:
    """The ELF file in a vmlinuz: QEMU starts it at once, where an emulated CPU would unpack it for seconds."""
    for magic, unpack in _PACKERS.items():
        for start in _places(image, magic):
            if (kernel := unpack(image[start:])).startswith(b"\x7fELF"):
                return kernel
    raise BedError("no kernel was found in its image: it is packed in a way that is not known here")


def _places(image: bytes, magic: bytes) -> Iterator[int]:
    place = image.find(magic)
    while place >= 0:
        yield place
        place = image.find(magic, place + 1)


def _by_library(unpack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def tried(packed: bytes) -> bytes:
        try:
            return unpack(packed)
        except (lzma.LZMAError, zlib.error):
            return b""

    return tried


def _by_program(*argv: str) -> Callable[[bytes], bytes]:
    """What follows the kernel in its image makes them complain, after all of it is out."""
    return lambda packed: subprocess.run(argv, input=packed, capture_output=True, check=False).stdout


_PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\x00": _by_library(lambda packed: lzma.LZMADecompressor().decompress(packed)),
    b"\x1f\x8b\x08": _by_library(lambda packed: zlib.decompressobj(31).decompress(packed)),
    b"\x28\xb5\x2f\xfd": _by_program("zstd", "-dc"),
    b"\x02\x21\x4c\x18": _by_program("lz4", "-dc"),
}
