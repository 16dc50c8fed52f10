"""What people send that they should not: every text in every field, every number in every number, and what is hardly JSON.

Nothing of it is an error of ours, nothing is executed, what is refused says which field, and what is taken is what was sent.
"""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ave.model.access import Grant, Role
from ave.model.audit import Record
from ave.model.vm import VM
from ave.model.work import Work
from tests.unit.api.askable import IDS, ROUTES, ask, dump, furnish, number_fields, string_fields
from tests.unit.api.lab import Lab, run

TEXTS = [
    "",
    " ",
    "a" * 256,
    "a" * 4096,
    "a" * 1_000_000,
    "nul\x00",
    "cr\rlf\n",
    "a\r\nfake log line user=root",
    "\x1b[31mred\x1b[0m",
    "\x7f\x80\x9f",
    "right\u202eto left",
    "zero\u200bwidth",
    "\ufeffmark",
    "🙂",
    "\U0010ffff",
    "e\u0301",
    "../../etc/passwd",
    "..",
    ".",
    "..%2f..%2fetc",
    "%00",
    "%2e%2e/",
    "/etc/shadow",
    "\\\\host\\share",
    "C:\\windows",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "{{7*7}}",
    "${jndi:ldap://x/a}",
    "#{7*7}",
    "'; DROP TABLE vm; --",
    "' OR '1'='1",
    "$where",
    "$gt",
    "a.b",
    "a$b",
    '{"$gt": ""}',
    "<script>alert(1)</script>",
    "]]><qemu:commandline><qemu:arg value='-drive'/>",
    "&xxe;",
    '<!DOCTYPE a [<!ENTITY b "c">]>',
    ",file=/etc/shadow",
    "x,readonly=off",
    "-drive file=/etc/shadow",
    "--help",
    "-",
    "`id`",
    "$(id)",
    "; id",
    "| id",
    "a && id",
    "a\tb",
    "%n%n%n%s",
    "%s" * 100,
    "__proto__",
    "constructor",
    "null",
    "true",
    "NaN",
    "1e309",
    "0x10",
    "١٢",
    "vm/web-1",
    "web-1:start",
    "/",
    "*",
    "?",
    "[a-z]+",
    "(a+)+$",
    "a" * 63 + "!",
    "_id",
]
NUMBERS = [
    *("-1", "0", "-0", "1.5", "1e309", "-1e309", "NaN", "Infinity", "1e-400", "2147483648", "9223372036854775807"),
    *("9223372036854775808", "18446744073709551616", "1" * 400, "true", '"1"', "null", "[]", "{}", "1e5", "0x10", "01"),
]
NUMERIC = ("1e309", "١٢")
FINE = (200, 202, 400, 404, 409, 413, 422)


async def as_root(lab: Lab) -> None:
    await furnish(lab)
    lab.client.headers.update(await lab.token("root", Grant(Role.ADMIN)))


def put(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    body = copy.deepcopy(body) or {}
    place = body
    for step, after in pairwise(at):
        if isinstance(place, list):
            while len(place) <= step:
                place.append({})
            place = place[step]
        else:
            place = place.setdefault(step, [] if isinstance(after, int) else {})
    if isinstance(place, list):
        place[:] = [value]
    else:
        place[at[-1]] = value
    return body


def wrong_with(answer: Any, about: str, text: str) -> str:
    """What is wrong with an answer; "" if nothing is."""
    if answer.status_code not in FINE:
        return f"{about}: {answer.status_code} {answer.text[:200]}"
    if answer.status_code >= 400:
        if answer.headers["content-type"] != "application/problem+json":
            return f"{about}: no problem"
        if not answer.json()["detail"]:
            return f"{about}: says nothing"
        if len(answer.content) > 4096:
            return f"{about}: it repeats {len(answer.content)} bytes"
    return ""


def by_field() -> dict[str, list[tuple[Any, tuple[Any, ...]]]]:
    """Each field with a text, by its name and noun, with every route that has it."""
    found: dict[str, list[tuple[Any, tuple[Any, ...]]]] = {}
    for route in ROUTES:
        if route.method == "GET" or route.one:
            continue
        for at, name in string_fields(route):
            found.setdefault(f"{route.entry.name}.{name}", []).append((route, at))
    return found


@pytest.mark.parametrize("text", range(0, len(TEXTS), 12))
def test_no_text_in_any_field_is_an_error_of_ours(text: int, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await as_root(lab)
        wrong: list[str] = []
        for places in by_field().values():
            route, at = places[0]
            asked = ask(route)
            for word in TEXTS[text : text + 12]:
                body = put(asked.body, at, word)
                how = {"dry_run": "true"} if route.job else {}
                answer = await lab.client.request(asked.method, asked.path, json=body, params=how)
                wrong.append(wrong_with(answer, f"{asked.path} {at} {word[:40]!r}", word))
        assert not [each for each in wrong if each], "\n".join(each for each in wrong if each)

    run(tmp_path, test)


def test_texts_that_are_taken_are_kept_as_they_were_sent(tmp_path: Path) -> None:
    """Where any text may stand. And what they were is in the record as one line each."""

    async def test(lab: Lab) -> None:
        await as_root(lab)
        for number, text in enumerate(TEXTS):
            body = {
                "vms": [{"id": f"v{number}", "vcpus": 1, "memory_mib": 512, "labels": {f"k{text[:40]}": text[:200]}}]
            }
            answer = await lab.ask("POST", "/v1/vms", body, **{"X-Request-Id": f"r{number}"})
            assert answer.status_code in (202, 400), (text[:40], answer.text)
            if answer.status_code == 202:
                job = await lab.store.find(Work, {"id": answer.json()["id"]})
                assert job[0].arguments["vms"][0]["labels"] == body["vms"][0]["labels"]
        for record in await lab.store.find(Record, {}, ("at",)):
            assert "\n" not in json.dumps(record.things)

    run(tmp_path, test)


def test_no_text_in_a_path_or_a_parameter_is_an_error_of_ours(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await as_root(lab)
        wrong = []
        for text in TEXTS:
            text = text[:2000]
            for path in ("/v1/vms/{}", "/v1/vms/{}:start", "/v1/jobs/{}", "/v1/users/{}", "/v1/{}"):
                answer = await lab.client.get(path.format(quote(text, safe="", errors="surrogatepass")))
                if answer.status_code not in (*FINE, 405):
                    wrong.append(f"{path} {text[:40]!r}: {answer.status_code}")
            for name in (
                "q",
                "label",
                "sort",
                "state",
                "page_token",
                "limit",
                "fields",
                "types",
                "interval",
                "nothing",
            ):
                path = "/v1/vms" if name not in ("types", "interval") else "/v1/events"
                if path == "/v1/events" and (text in ("", " ") or (name == "interval" and text in NUMERIC)):
                    continue  # a stream, which does not end
                answer = await lab.client.get(path, params={name: text})
                if answer.status_code not in FINE:
                    wrong.append(f"{path} {name}={text[:40]!r}: {answer.status_code}")
            for header in ("X-Ave-Revision", "X-Request-Id", "Idempotency-Key", "If-Match", "Prefer", "Last-Event-ID"):
                value = text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")
                answer = await lab.client.post(
                    "/v1/vms/web-1:start", params={"dry_run": "true"}, headers={header.encode(): value}
                )
                if answer.status_code not in (*FINE, 412):
                    wrong.append(f"{header} {text[:40]!r}: {answer.status_code} {answer.text[:100]}")
                if b"\n" in answer.headers.get("x-request-id", "").encode():
                    wrong.append("a header with a line of its own")
        assert not wrong, "\n".join(wrong)

    run(tmp_path, test)


def test_no_number_is_an_error_of_ours(tmp_path: Path) -> None:
    """Written as they are: JSON that no library would write."""

    async def test(lab: Lab) -> None:
        await as_root(lab)
        before = await dump(lab, "audit", "audit-chain")
        wrong = []
        for route in ROUTES:
            if route.method == "GET" or route.one:
                continue
            asked = ask(route)
            for at, _ in number_fields(route):
                for number in NUMBERS:
                    text = json.dumps(put(asked.body, at, "@@")).replace('"@@"', number)
                    answer = await lab.client.request(
                        asked.method,
                        asked.path,
                        content=text,
                        params={"dry_run": "true"} if route.job else {},
                        headers={"Content-Type": "application/json"},
                    )
                    wrong.append(wrong_with(answer, f"{asked.path} {at} {number[:30]}", number))
                    if number in ('"1"', "true", "[]", "{}", "NaN", "0x10", "01") and answer.status_code != 400:
                        wrong.append(f"{asked.path} {at}: {number} was taken for a number")
        assert not [each for each in wrong if each], "\n".join(each for each in wrong if each)
        after = await dump(lab, "audit", "audit-chain")
        assert {key for key in before if before[key] != after.get(key)} <= {("tenant", IDS["tenant"])}

    run(tmp_path, test)


BODIES: dict[str, bytes] = {
    "deep": b'{"vms":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "unended": b'{"vms": [',
    "not utf-8": b'{"vms": "\xff\xfe"}',
    "overlong utf-8": b'{"vms": "\xc0\xaf"}',
    "lone surrogate": b'{"vms": [{"id": "\\ud800", "vcpus": 1, "memory_mib": 512}]}',
    "utf-16": '{"vms": []}'.encode("utf-16"),
    "a mark": b'\xef\xbb\xbf{"vms": []}',
    "many keys": json.dumps({f"k{n}": n for n in range(100_000)}).encode(),
    "many labels": json.dumps(
        {"vms": [{"id": "a", "vcpus": 1, "memory_mib": 1, "labels": {f"k{n}": "" for n in range(100_000)}}]}
    ).encode(),
    "twice the same key": b'{"vms": [], "vms": [{"id": "a", "vcpus": 1, "memory_mib": 512}], "start": false}',
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"vms"',
    "null": b"null",
    "empty": b"",
    "blank": b"   ",
    "comment": b'{"vms": [] /* all */}',
    "two documents": b'{"vms": []}{"vms": []}',
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "yaml": b"!!python/object/apply:os.system ['id']",
    "pickle": b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
    "form": b"vms=a&start=true",
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_hardly_a_body_is_refused(name: str, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await as_root(lab)
        for method, path in (("POST", "/v1/vms"), ("POST", "/v1/vms:batch-start"), ("PATCH", "/v1/cluster")):
            headers = {"Content-Type": "application/json"}
            answer = await lab.client.request(
                method, path, content=BODIES[name], headers=headers, params={"dry_run": "true"}
            )
            assert not wrong_with(answer, f"{path} {name}", ""), answer.text[:300]
            if path == "/v1/vms:batch-start":
                assert answer.status_code == 400
        assert await lab.store.find(VM) == [await lab.store.get(VM, "web-1")]

    run(tmp_path, test)
