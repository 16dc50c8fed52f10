"""Commands beside the catalogue: raw calls, waiting for what is said of a thing, and which clusters there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from ave.cli.remote import contexts
from ave.cli.remote.failures import Exit, Usage, meant
from ave.cli.remote.output import Look, show_data, show_table
from ave.cli.remote.parameters import Where, conversation, ending
from ave.cli.remote.watching import wait_until

BODY_MOST = 8 << 20
HERE, TABLE = Where(), Look()


def api(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    /,
    *,
    data: Annotated[str, Parameter(name=["--data", "-d"], allow_leading_hyphen=True)] = "",
    output: Annotated[Literal["json", "yaml"], Parameter(name=["--output", "-o"])] = "json",
    where: Where = HERE,
) -> int:
    """Make one call of the API, and print what it answers.

    Parameters
    ----------
    method
        GET, POST, PUT, PATCH or DELETE.
    path
        As /v1/vms?state=running.
    data
        The body: JSON, @FILE, or - for stdin.
    output
        What to print.
    """

    def work() -> Exit:
        with conversation(where) as client:
            where_to = path if path.startswith("/") else f"/{path}"
            reply = client.ask(method, where_to, body=_body(data), again=method == "GET", text=True)
        if isinstance(reply.body, str):
            sys.stdout.write(reply.body)
        else:
            show_data(reply.body, Look(output=output))
        return Exit.OK

    return ending(work)


def _body(data: str) -> Any:
    if not data:
        return None
    try:
        text = (
            sys.stdin.read(BODY_MOST) if data == "-" else Path(data[1:]).read_text() if data.startswith("@") else data
        )
        return msgspec.json.decode(text)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise Usage(f"--data: {error}", 'as \'{"vms": ["web-1"]}\', @FILE, or - for stdin') from None


def wait(
    *things: str,
    condition: Annotated[str, Parameter(name="--for")] = "",
    timeout: float = 0.0,
    where: Where = HERE,
) -> int:
    """Wait until things are as is said.

    Parameters
    ----------
    things
        As vm/web-1, host/h1, job/vm.start-5c3f.
    condition
        A field and its value, as state=running; or gone.
    timeout
        Not longer than so many seconds; 0: no limit.
    """

    def work() -> Exit:
        with conversation(where) as client:
            return wait_until(client, things, condition, timeout)

    return ending(work)


def context_ls(*, look: Look = TABLE) -> int:
    """List the clusters that have a name here."""

    def work() -> Exit:
        known = contexts.load()
        current = contexts.chosen(known=known)
        rows = [
            {"name": name, "current": name == current, **msgspec.to_builtins(context)}
            for name, context in {
                contexts.LOCAL: contexts.Context(urls=(contexts.LOCAL_URL,)),
                **known.contexts,
            }.items()
        ]
        if look.output == "name":
            print("\n".join(row["name"] for row in rows))
        elif look.table:
            lines = [("*" if row["current"] else "", row["name"], ",".join(row["urls"])) for row in rows]
            show_table(("CURRENT", "NAME", "URLS"), lines, look)
            print("sim:N-host is a simulated cluster of N hosts, built in", file=sys.stderr)
        else:
            show_data({"items": rows}, look)
        return Exit.OK

    return ending(work)


def context_use(name: str, /) -> int:
    """Make a cluster the current one.

    Parameters
    ----------
    name
        As ave context ls shows it; or sim:6-host, a simulated one.
    """

    def work() -> Exit:
        known = contexts.load()
        if not contexts.SIMULATED.match(name):
            contexts.resolve(name, known)
        contexts.save(msgspec.structs.replace(known, current=name))
        return Exit.OK

    return ending(work)


def context_add(name: str, /, *urls: str, token_file: str = "", ca_file: str = "") -> int:
    """Give a cluster a name; the first one becomes the current one.

    Parameters
    ----------
    name
        Letters, digits, dots and dashes.
    urls
        Of its hosts: whichever answers is asked. As http://127.0.0.1:8460.
    token_file
        Where the token is: a file that only you may read. AVE_TOKEN goes before it.
    ca_file
        Who signed the hosts' certificates, if this machine does not know.
    """

    def work() -> Exit:
        known = contexts.load()
        made = contexts.Context(urls=urls, token_file=_absolute(token_file), ca_file=_absolute(ca_file))
        contexts.checked(made)
        found = {**known.contexts, contexts.named(name): made}
        contexts.save(contexts.Known(current=known.current or name, contexts=found))
        return Exit.OK

    return ending(work)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""


def context_rm(name: str, /) -> int:
    """Forget a cluster's name; nothing happens to the cluster.

    Parameters
    ----------
    name
        As ave context ls shows it.
    """

    def work() -> Exit:
        known = contexts.load()
        if name not in known.contexts:
            raise Usage(f"there is no context {name}", meant(name, known.contexts) or "ave context ls shows them")
        left = {each: context for each, context in known.contexts.items() if each != name}
        contexts.save(contexts.Known(current="" if known.current == name else known.current, contexts=left))
        return Exit.OK

    return ending(work)
