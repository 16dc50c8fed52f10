"""A served simulation as a client meets it, over HTTP on this machine."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx2
import msgspec
import pytest

from ave.errors import Refused
from drivers.rest.app import application
from drivers.rest.background import in_background
from drivers.rest.bridge import Bridge
from drivers.rest.served import Jumps, ServedHost, serve_world
from drivers.rest.server import listen
from drivers.rest.simulated import Speed
from drivers.rest.stepper import Stepper
from sim.faults import FAULTS
from sim.journal import Entry, Journal, read
from sim.recording import Recording
from sim.scenario.load import load
from sim.serve import local, scenario_of, tell_bug, url
from sim.served import Served, replay
from sim.tables import CATALOGUE
from tests.served import documents

REAL_SECONDS = 30.0  # a test gives up


class Client(httpx2.Client):
    """Answers as plain data; what is not answered with the expected status fails the test."""

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.request(method, path, json=body, headers=named)
        assert answer.status_code == status, answer.text
        return answer.json()

    def clock(self, **wish: Any) -> Any:
        return self.ask("PUT", "/v1/clock", wish) if wish else self.ask("GET", "/v1/clock")

    def until(self, path: str, found: Callable[[Any], bool]) -> Any:
        """A host that does not hear its store for a moment says so (503), and is asked again."""
        ends = monotonic() + REAL_SECONDS
        while (answer := self.get(path)).status_code == 503 or not found(_said(answer)):
            assert monotonic() < ends, answer.text
            sleep(0.02)
        return answer.json()


def _said(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


@contextmanager
def serving(
    *, hosts: int = 4, speed: Speed = 60.0, paused: bool = False, host: str = "", journal: Journal | None = None,
    last: Callable[[Served], None] = lambda served: None,
) -> Iterator[Client]:  # fmt: skip
    async def main(begun: Callable[[str], None]) -> None:
        with Served(scenario_of(f"sim:{hosts}-host"), host=host, journal=journal) as served:
            where = listen("127.0.0.1", 0)
            begun(url(where))
            try:
                await serve_world(served, where, speed=speed, paused=paused, bug=tell_bug)
            finally:
                last(served)

    with in_background(main) as address, Client(base_url=address, timeout=REAL_SECONDS) as client:
        yield client


def vm(id: str) -> dict[str, Any]:
    return {"id": id, "vcpus": 1, "memory_mib": 512, "networks": ["vm-net"], "disks_gib": [1]}


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Name, id and body of each; comments are passed over."""
    name = id = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name, id = value, ""
        elif field == "id":
            id = value
        elif field == "data":
            yield name, id, msgspec.json.decode(value)


def test_a_create_takes_simulated_time_and_is_read_at_once() -> None:
    with serving(speed="max") as client:
        job = client.ask("POST", "/v1/vms", {"vms": [vm("new-1"), vm("new-2")]}, Prefer="wait=60")
        assert job["state"] == "done"
        assert job["finished"] - job["submitted"] > 0.5
        assert client.ask("GET", "/v1/vms/new-1")["state"] == "running"
        refused = client.ask("POST", "/v1/vms", {"vms": [{**vm("x"), "cpus": 1}]}, status=400)
        assert "cpus" in refused["detail"]
        assert client.ask("GET", "/v1/vms/nobody", status=404)["code"] == "not-found"  # and the world goes on
        before = client.clock()["now"]
        client.until("/v1/clock", lambda clock: clock["now"] > before + 10)
        assert client.ask("GET", "/v1/version")["api_extensions"] == ["clock", "faults"]


def test_the_openapi_file_knows_what_only_a_simulation_can() -> None:
    with serving(paused=True) as client:
        document = client.ask("GET", "/openapi.json")
        assert document["paths"]["/v1/clock"]["put"]["requestBody"]
        assert "Clock" in document["components"]["schemas"]
        faults = {fault["fault"]: fault for fault in client.ask("GET", "/v1/faults")["items"]}
        assert set(faults) == set(FAULTS)
        assert faults["store-slow"]["parameters"][0]["default"] == 10.0


def test_a_cluster_that_is_real_says_so() -> None:
    async def ask() -> list[httpx2.Response]:
        with Served(scenario_of("sim:1-host")) as served:
            host = ServedHost(served, Bridge(Stepper(served, speed=1.0), served), Jumps())
            transport = httpx2.ASGITransport(application(host, bug=tell_bug))
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                asked = [("PUT", "/v1/clock"), ("GET", "/v1/faults"), ("DELETE", "/v1/faults/fault-1")]
                return [await client.get("/v1/version"), *[await client.request(*each) for each in asked]]

    version, *refused = asyncio.run(ask())
    assert version.json()["api_extensions"] == []
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (409, "only-simulated")
        assert "ave sim serve" in answer.json()["hint"]


def test_speed_is_kept_and_can_be_changed() -> None:
    with serving(speed=20.0) as client:
        for speed in (20.0, 5.0):
            begun = client.clock(speed=speed)
            since = monotonic()
            sleep(1.0)
            clock, real = client.clock(), monotonic() - since
            assert clock["now"] - begun["now"] == pytest.approx(speed * real - clock["lost"] + begun["lost"], rel=0.3)
        assert client.clock(speed=0) == client.clock()
        assert client.clock()["paused"]
        assert client.clock(paused=False)["speed"] == 5.0
        fast = client.clock(speed="max")
        clock = client.until("/v1/clock", lambda clock: clock["now"] > fast["now"] + 100)
        assert clock["speed"] == "max"


def test_who_cannot_keep_up_says_so() -> None:
    with serving(hosts=16, speed=1e6) as client:
        clock = client.until("/v1/clock", lambda clock: clock["lost"] > 0)
        assert 0 < clock["pace"] < 1e6


def test_a_paused_world_answers_reads_and_short_calls_and_goes_no_further_than_it_must() -> None:
    with serving(paused=True) as client:
        assert client.ask("GET", "/v1/vms")["total"] == 16  # it has to read the store first
        still = client.clock()
        assert still["paused"]
        assert still["now"] < 0.1
        assert client.ask("GET", "/v1/vms?q=web")["total"] == 12
        assert client.clock() == still
        job = client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, status=202, Prefer="wait=60")
        assert job["state"] != "done"
        assert 0 < client.clock()["now"] - still["now"] < 0.1
        sleep(0.2)
        assert client.clock()["now"] - still["now"] < 0.1
        client.clock(step=30)
        assert client.ask("GET", f"/v1/jobs/{job['id']}")["state"] == "done"


def test_what_takes_too_long_for_a_paused_world_is_refused_with_what_to_do() -> None:
    with serving(paused=True) as client:
        client.ask("GET", "/v1/vms")
        client.ask("POST", "/v1/faults", {"fault": "store-slow", "seconds": "3s"}, status=201)
        before = client.clock()["now"]
        refused = client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, status=409)
        assert refused["code"] == "paused"
        assert '{"step": 10}' in refused["hint"]
        assert client.clock()["now"] == pytest.approx(before + 1.0)


def test_a_step_goes_just_so_far() -> None:
    with serving() as client:
        clock = client.clock(paused=True)
        after = client.clock(step=12.5)
        assert after["now"] == pytest.approx(clock["now"] + 12.5)
        assert after["paused"]
        assert after["step"] == 0
        wishes: tuple[Any, ...] = (
            {"step": -1},
            {"step": 1e9},
            {"speed": "fast"},
            {"speed": -1},
            {"pasued": True},
            {"now": 3},
            [],
        )
        for wish in wishes:
            assert client.ask("PUT", "/v1/clock", wish, status=400)["errors"], wish
        assert client.clock() == after


def test_vms_of_a_host_that_is_lost_are_seen_to_run_elsewhere() -> None:
    with serving(speed="max") as client:
        lost = client.ask("GET", "/v1/version")["host"]
        before = client.ask("GET", f"/v1/vms?host={lost}")
        assert before["total"] == 4
        fault = client.ask("POST", "/v1/faults", {"fault": "host-crash", "target": lost}, status=201)
        assert fault["target"] == [lost]
        assert client.clock()["host"] != lost
        client.until("/v1/vms", lambda vms: vms["total"] == 16)
        with client.stream("GET", "/v1/events?types=vm") as stream:
            for _, _, body in events(stream.iter_lines()):
                moved = [each for each in body.get("vm", ()) if each["id"] == before["items"][0]["id"]]
                if moved and moved[0]["host"] != lost and moved[0]["state"] == "running":
                    break
        client.until(f"/v1/vms?host={lost}", lambda vms: vms["total"] == 0)
        client.until("/v1/vms?state=running", lambda vms: vms["total"] == 16)
        figures = client.get("/metrics").text  # of the host that has taken over
        assert f'ave_host_vms{{host="{lost}"}} 0.0' in figures
        assert "ave_view_up 1.0" in figures
        assert [each["id"] for each in client.ask("GET", "/v1/faults")["under_way"]] == [fault["id"]]
        client.ask("DELETE", f"/v1/faults/{fault['id']}")
        client.until(f"/v1/hosts/{lost}", lambda host: host["state"] == "online")
        assert client.ask("DELETE", f"/v1/faults/{fault['id']}", status=404)["code"] == "not-found"
        wrong = client.ask("POST", "/v1/faults", {"fault": "host-crash", "target": "host-9"}, status=400)
        assert wrong["errors"][0]["pointer"] == "/target"


def test_the_api_of_a_named_host_answers_503_while_that_host_is_down_and_time_can_still_be_moved() -> None:
    with serving(speed="max", host="host-4") as client:
        client.until("/v1/hosts", lambda hosts: hosts["total"] == 4)
        client.clock(paused=True)
        fault = client.ask("POST", "/v1/faults", {"fault": "host-crash", "target": "host-4"}, status=201)
        gone = client.get("/v1/vms")
        assert (gone.status_code, gone.headers["retry-after"]) == (503, "2")
        assert "the API of host-4 does not answer: it has no power" in gone.json()["detail"]
        assert client.get("/readyz").status_code == 503
        client.ask("DELETE", f"/v1/faults/{fault['id']}")
        client.clock(paused=False)
        ends = monotonic() + REAL_SECONDS
        while client.get("/v1/vms").status_code == 503:
            assert monotonic() < ends
            sleep(0.02)


def test_a_stream_tells_of_the_clock_and_goes_on_where_it_was_left() -> None:
    with serving(speed=60.0) as client:
        client.until("/v1/vms", lambda vms: vms["total"] == 16)
        names: dict[str, Any] = {}
        last = ""
        with client.stream("GET", "/v1/events?types=vm,job") as stream:
            for name, id, body in events(stream.iter_lines()):
                names[name] = body
                last = id or last
                if {"reset", "clock"} <= set(names):
                    break
        assert len(names["reset"]["vm"]) == 16
        assert names["clock"]["speed"] == 60.0
        client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, Prefer="wait=60")
        with client.stream("GET", "/v1/events?types=vm", headers={"Last-Event-ID": last}) as stream:
            name, _, body = next(event for event in events(stream.iter_lines()) if event[0] != "clock")
        assert name == "delta"
        assert [each["id"] for each in body["vm"]] == ["new-1"]
        with client.stream("GET", "/v1/events?types=vm", headers={"Last-Event-ID": "other:5"}) as stream:
            assert next(event for event in events(stream.iter_lines()) if event[0] != "clock")[0] == "reset"


def test_a_client_that_goes_away_takes_its_call_with_it() -> None:
    written: list[Entry] = []
    with serving(speed=1.0, journal=Journal(written.append)) as client:
        client.until("/v1/vms", lambda vms: vms["total"] == 16)
        job = client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, status=202)
        with pytest.raises(httpx2.ReadTimeout):
            client.get(f"/v1/jobs/{job['id']}?wait=60", timeout=0.2)
        ends = monotonic() + REAL_SECONDS
        while not any(type(entry).__name__ == "Leave" for entry in written):
            assert monotonic() < ends
            sleep(0.02)
        assert client.clock(speed="max")["broken"] == ""
        assert client.ask("GET", f"/v1/jobs/{job['id']}?wait=60")["state"] == "done"


def test_what_was_done_over_http_can_be_done_again() -> None:
    written: list[Entry] = []
    left: list[tuple[str, float, str]] = []

    def last(served: Served) -> None:
        left.append((documents(served), served.now, served.broken))

    with serving(speed="max", journal=Journal(written.append), last=last) as client:
        for number, fault in enumerate(
            (
                {"fault": "host-crash", "target": "host-1", "for": "50s"},
                {"fault": "vm-crash", "target": {"fleet": "web", "mode": "one"}},
                {"fault": "store-lag", "seconds": "1s", "for": "20s"},
            )
        ):
            sleep(0.05)
            client.ask("POST", "/v1/faults", fault, status=201)
            client.get("/v1/hosts")
            client.post("/v1/vms", json={"vms": [vm(f"new-{number}")]}, headers={"Prefer": "wait=60"})
        client.clock(paused=True)
        client.clock(paused=False, speed=60)
        sleep(0.2)
    ((first, end, broken),) = left
    assert not broken
    kinds = [type(entry).__name__ for entry in written]
    assert kinds.count("Strike") == 3
    assert kinds.count("Pause") == 2
    with Served(scenario_of("sim:4-host")) as served:
        replay(served, sorted(written, key=lambda entry: entry.n), end)
        assert documents(served) == first


def test_it_stops_at_once_whoever_is_connected() -> None:
    with serving(speed=1.0) as client:
        client.until("/v1/vms", lambda vms: vms["total"] == 16)
        stream = client.stream("GET", "/v1/events")
        lines = stream.__enter__().iter_lines()
        next(lines)
        since = monotonic()
    assert monotonic() - since < 5.0
    with pytest.raises((httpx2.ConnectError, RuntimeError)):
        client.get("/healthz")


def test_the_built_in_cluster_starts_and_goes() -> None:
    since = monotonic()
    with local("sim:6-host") as address:
        took = monotonic() - since
        with Client(base_url=address, timeout=REAL_SECONDS) as client:
            assert client.ask("GET", "/v1/hosts")["total"] == 6
            assert client.ask("GET", "/v1/vms")["total"] == 24
            assert client.ask("GET", "/v1/groups")["items"][0]["id"] == "db-apart"
            job = client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, Prefer="wait=60")
            assert job["state"] == "done"
    assert took < 1.0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{address}/healthz")
    for name in ("sim:0-host", "sim:65-host", "sim:6-hosts"):
        with pytest.raises(Refused, match="sim:1-host to sim:64-host are"), local(name):
            pass


@pytest.mark.parametrize("hosts", [1, 64])
def test_the_smallest_and_the_largest_built_in_cluster(hosts: int) -> None:
    with Served(scenario_of(f"sim:{hosts}-host")) as served:
        served.advance(60.0)
        assert not served.broken
        assert sum(len(machine.guests) for machine in served.story.cluster.machines.values()) == 4 * hosts


def test_the_command_serves_until_it_is_told_and_leaves_a_run_that_can_be_played(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "scenarios" / "ha" / "demo.yaml"
    command = [sys.executable, "-m", "ave.cli.main", "sim", "serve", str(file), "--paused"]
    with running([*command, "--out", str(tmp_path / "run")]) as client:
        client.clock(step=5)
        client.ask("POST", "/v1/vms", {"vms": [vm("new-1")]}, status=202)
        now = client.clock(step=25)["now"]
        vms = client.ask("GET", "/v1/vms?limit=1000")
    head, entries, end = read(tmp_path / "run" / "journal.jsonl")
    assert end == pytest.approx(now, abs=1e-5)
    recording = Recording(tmp_path / "run" / "events.jsonl.gz")
    assert (recording.partial, recording.damage) == (False, None)
    with Served(load(tmp_path / "run" / "scenario.yaml", CATALOGUE), seed=head.seed) as served:
        replay(served, entries, end)
        again = {doc.id: doc.version for doc in served.story.cluster.store.ledger.shelves_by_name["vm"].docs.values()}
    assert again == {id: doc["version"] for id, doc in recording.seek(end).docs["vm"].items()}
    assert "new-1" in again
    with running([*command, "--replay", str(tmp_path / "run" / "journal.jsonl")]) as client:
        assert client.clock()["now"] == now
        assert client.ask("GET", "/v1/vms?limit=1000") == vms


@contextmanager
def running(command: list[str]) -> Iterator[Client]:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with Client(base_url=address, timeout=REAL_SECONDS) as client:
            yield client
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=REAL_SECONDS)[1]
    assert process.returncode == 0, said
    assert said.endswith("stopped\n")
