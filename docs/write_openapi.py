"""Writes the OpenAPI document from the catalogue of operations: what a real host answers at /openapi.json."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ave import __version__
from ave.api.openapi import openapi
from ave.api.routes import catalogue, routes

FILE = Path(__file__).with_name("openapi.json")
COMMAND = ".venv/bin/python -m docs.write_openapi"


def document() -> str:
    made = openapi(routes(catalogue().values()), __version__)
    return msgspec.json.format(msgspec.json.encode(made), indent=1).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
