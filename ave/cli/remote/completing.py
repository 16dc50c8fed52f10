"""Shell completion: commands and flags are in the script, names are asked of the cluster when TAB is pressed."""

from __future__ import annotations

import sys
from typing import Any, Literal

MOST = 1000


def names(noun: str, context: Any) -> list[str]:
    """Those that begin with what is typed so far; none if the cluster does not answer at once."""
    from ave.api.nouns import NOUNS
    from ave.cli.remote.connection import connect
    from ave.cli.remote.failures import Failure
    from ave.cli.remote.picking import fetched

    begun = str(context.incomplete)
    try:
        with connect() as client:
            found = fetched(client, NOUNS[noun], {"fields": "id"}, limit=MOST)
    except Failure:
        return []
    return [doc["id"] for doc in found if doc["id"].startswith(begun)]


def contexts(context: Any) -> list[str]:
    from ave.cli.remote.contexts import LOCAL, load

    return [name for name in (*load().contexts, LOCAL, "sim:6-host") if name.startswith(str(context.incomplete))]


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell: source <(ave completion bash).

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from ave.cli.main import with_nouns

    sys.stdout.write(with_nouns().generate_completion(prog_name="ave", shell=shell))
    return 0
