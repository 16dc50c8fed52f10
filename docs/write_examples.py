"""Runs the commands that pages show with what they print (```console blocks) and writes down what they print today."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

from ave.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "placement.md",)
COMMAND = ".venv/bin/python -m docs.write_examples"
_BLOCK = re.compile(r"^```console\n\$ ave (.*)\n(?:.*\n)*?```$", re.MULTILINE)


def renewed(page: str) -> str:
    return _BLOCK.sub(lambda block: f"```console\n$ ave {block[1]}\n{_output(block[1])}```", page)


def _output(command: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), contextlib.chdir(ROOT):
        app(shlex.split(command), exit_on_error=False, result_action="return_value")
    return printed.getvalue()


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    for path in PAGES:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
