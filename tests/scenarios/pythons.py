"""Every Python on this machine that the product supports, each with the product's own dependencies in a venv."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
LOCK = ROOT / "requirements" / "run.lock"


def installed() -> dict[str, Path]:
    """Version -> interpreter: this one, what is on the PATH, and what pyenv keeps."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": Path(sys.executable)}
    for version in SUPPORTED:
        kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        on_path = shutil.which(f"python{version}")
        for candidate in [*([Path(on_path)] if on_path else []), *kept]:
            if version not in found and _answers(candidate, version):
                found[version] = candidate
    return found


def environment(version: str, python: Path) -> Path:
    """An interpreter of that version that can run the product; made once per lock file."""
    if python == Path(sys.executable):
        return python
    folder = ROOT / ".venv" / "pythons" / version
    stamp = folder / "made-from"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    made = folder / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run(python, "-m", "venv", folder)
        _run(made, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", LOCK)
        stamp.write_text(wanted)
    return made


def _answers(candidate: Path, version: str) -> bool:
    """pyenv's shims are on the PATH also for versions that are switched off."""
    asked = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == version


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=600)
