"""`batuta up`: one owner per folder, addresses that are found again, an orderly end, whole again after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batuta_autoscaler.__main__ import build as build_autoscaler
from batuta_chassis.child import FINAL_STATUS, Child
from batuta_chassis.data_folder import DataFolder
from batuta_chassis.launcher import Deployment, Options, welcome
from batuta_chassis.service import Service
from batuta_chassis.settings import Settings, SettingsError
from batuta_chassis.web.testing import HttpClient
from batuta_proto.system import v1 as system
from batuta_rpc.channel import open_aio
from batuta_rpc.clock import Clock, SystemClock
from batuta_rpc.config import Connection, read_connection, save_connection
from batuta_rpc.ids import Ids, SystemIds
from batuta_rpc.pinning import fingerprints
from batuta_rpc.testing import until
from batuta_rpc.trust import PUBLIC, Trust
from tests.pki import Pki


class Steps:
    """Builders of small services that note what they were told and when they ended."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.settings: dict[str, Settings] = {}

    def builds(self) -> dict[str, Any]:
        def build(settings: Settings, _clock: Clock, _ids: Ids) -> Service:
            name = settings.service
            self.order.append(f"{name} starts")
            self.settings[name] = settings

            async def stopped() -> None:
                self.order.append(f"{name} ends")

            return Service(name, (), on_stop=stopped, dispatch_endpoint=settings.dispatch_endpoint)

        return {"api": build, "queue": build, "autoscaler": build_autoscaler}


def deployment(data: Path, steps: Steps, **options: Any) -> Deployment:
    chosen = Options(data, port=options.pop("port", 0), queue_port=0, agent=False, **options)
    return Deployment(chosen, SystemClock(), SystemIds(), steps.builds())


async def test_every_service_answers_on_its_own_port(tmp_path: Path) -> None:
    up = deployment(tmp_path, Steps())
    await up.start()
    for name, endpoint in up.endpoints.items():
        async with open_aio(endpoint, None, "test") as channel:
            info = await system.SystemServiceStub(channel).GetServerInfo(system.GetServerInfoRequest())
            assert info.service == name
    await up.stop(0)


async def test_the_api_starts_last_is_told_of_the_others_and_ends_first(tmp_path: Path) -> None:
    steps = Steps()
    up = deployment(tmp_path, steps)
    await up.start()
    endpoints = up.endpoints
    await up.stop(0)
    assert steps.order == ["queue starts", "api starts", "api ends", "queue ends"]
    told = steps.settings["api"]
    assert told.queue_endpoint == endpoints["queue"]
    assert told.autoscaler_endpoint == endpoints["autoscaler"]
    assert told.api_endpoint == endpoints["api"]
    assert told.dispatch_endpoint == endpoints["queue"].removeprefix("http://")
    assert told.keys_dir == steps.settings["queue"].keys_dir


async def test_addresses_are_noted_and_found_again_after_a_restart(tmp_path: Path) -> None:
    first = deployment(tmp_path, Steps())
    await first.start()
    noted = json.loads((tmp_path / "endpoints.json").read_text())
    endpoints = first.endpoints
    await first.stop(0)
    again = deployment(tmp_path, Steps())
    await again.start()
    assert again.endpoints == endpoints
    assert noted["api"] == endpoints["api"]
    assert stat.S_IMODE(os.stat(tmp_path / "endpoints.json").st_mode) == 0o600
    await again.stop(0)


async def test_two_on_one_folder_refuse_clearly(tmp_path: Path) -> None:
    first = deployment(tmp_path, Steps())
    await first.start()
    with pytest.raises(SettingsError, match=f"in use by another `batuta up` .process {os.getpid()}"):
        await deployment(tmp_path, Steps()).start()
    await first.stop(0)


async def test_a_port_that_is_taken_starts_nothing_and_frees_the_folder(tmp_path: Path) -> None:
    other = deployment(tmp_path / "other", Steps())
    await other.start()
    steps = Steps()
    taken = int(other.endpoints["api"].rsplit(":", 1)[1])
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{taken}"):
        await deployment(tmp_path / "mine", steps, port=taken).start()
    assert steps.order == []
    DataFolder(tmp_path / "mine").close()
    await other.stop(0)


async def test_a_service_that_cannot_start_stops_the_others_and_frees_the_folder(tmp_path: Path) -> None:
    steps = Steps()
    with pytest.raises(SettingsError, match=r"cannot read .*no\.pem"):
        await deployment(tmp_path, steps, tls_cert=str(tmp_path / "no.pem"), tls_key=str(tmp_path / "no.key")).start()
    assert steps.order == ["queue starts", "queue ends"]
    DataFolder(tmp_path).close()


async def test_a_credential_block_follows_the_address_of_the_api(tmp_path: Path) -> None:
    block = "[batuta]\napi = http://127.0.0.1:1\naccess_key = AK\nsecret_key = S%K\n"
    (tmp_path / "admin.credentials").write_text(block)
    up = deployment(tmp_path, Steps())
    await up.start()
    text = (tmp_path / "admin.credentials").read_text()
    assert text == block.replace("http://127.0.0.1:1", up.endpoints["api"])
    assert stat.S_IMODE(os.stat(tmp_path / "admin.credentials").st_mode) == 0o600
    await up.stop(0)


async def test_agents_are_told_a_name_that_other_machines_can_dial(tmp_path: Path) -> None:
    steps = Steps()
    up = deployment(tmp_path, steps, host="0.0.0.0", allow_plaintext=True, advertise="gpu1.example.org")
    await up.start()
    port = steps.settings["queue"].port
    assert steps.settings["api"].dispatch_endpoint == f"gpu1.example.org:{port}"
    assert steps.settings["api"].api_endpoint.startswith("http://gpu1.example.org:")
    assert up.api == steps.settings["api"].api_endpoint
    assert steps.settings["queue"].host == "0.0.0.0"
    await up.stop(0)


@pytest.mark.parametrize("generated", [True, False])
async def test_with_tls_everything_is_encrypted_under_the_name_that_it_is_dialled_by(
    tmp_path: Path, generated: bool
) -> None:
    own = Pki()
    tls = {"tls": "generated"} if generated else own.files(tmp_path / "tls")
    steps = Steps()
    up = deployment(tmp_path / "data", steps, host="0.0.0.0", advertise="localhost", **tls)
    await up.start()
    pem = (tmp_path / "data" / "keys" / "ca.pem").read_bytes() if generated else own.pem
    assert up.fingerprint == (fingerprints(pem)[0] if generated else "")
    told = steps.settings["api"]
    for endpoint in (told.api_endpoint, told.queue_endpoint, told.dispatch_endpoint):
        assert endpoint.startswith("https://localhost:"), endpoint
        async with open_aio(endpoint, None, "test", trust=Trust(pem)) as channel:
            await system.SystemServiceStub(channel).GetServerInfo(system.GetServerInfoRequest())
    await up.stop(0)


async def test_a_credential_block_names_the_authority_once_there_is_one_and_no_more_when_it_is_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "admin.credentials"
    save_connection(path, Connection("http://127.0.0.1:1", "AK", "S%K"))
    up = deployment(tmp_path, Steps(), tls="generated")
    await up.start()
    api = up.api
    await up.stop(0)
    told = read_connection(path)
    assert (told.api, told.trust.authorities) == (api, (tmp_path / "keys" / "ca.pem").read_bytes())
    again = deployment(tmp_path, Steps())
    await again.start()
    await again.stop(0)
    assert read_connection(path).trust == PUBLIC


def test_people_are_told_where_everything_is_and_what_comes_next(tmp_path: Path) -> None:
    lines = "\n".join(welcome(Options(tmp_path), "http://127.0.0.1:8480", "http://127.0.0.1:8482"))
    assert "http://127.0.0.1:8482" in lines
    assert "http://127.0.0.1:8480" in lines
    assert f"batuta init --file {tmp_path}/admin.credentials" in lines
    assert "authority    sha256:1" in "\n".join(welcome(Options(tmp_path), "https://here:1", "", "sha256:1"))


SERVE = """
import asyncio, sys
from pathlib import Path
from batuta_chassis import launcher
from batuta_chassis.service import Service
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
small = lambda settings, clock, ids: Service(settings.service, ())
launcher.installed = lambda: {"api": small, "queue": small}
options = launcher.Options(Path(sys.argv[1]), port=0, queue_port=0, agent=False)
asyncio.run(launcher.run(options, SystemClock(), SystemIds(), lambda line: print(line, flush=True)))
"""


def serve(data: Path) -> subprocess.Popen[str]:
    """A real process; returns when it has said that it is up."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            return process
    raise AssertionError("it did not come up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_with_status_zero(tmp_path: Path, number: signal.Signals) -> None:
    process = serve(tmp_path)
    process.send_signal(number)
    assert process.wait(20) == 0


def test_after_a_kill_it_comes_up_again_on_the_same_addresses(tmp_path: Path) -> None:
    process = serve(tmp_path)
    before = json.loads((tmp_path / "endpoints.json").read_text())
    process.kill()
    process.wait(10)
    again = serve(tmp_path)
    after = json.loads((tmp_path / "endpoints.json").read_text())
    again.terminate()
    again.wait(20)
    assert (before["api"], before["queue"]) == (after["api"], after["queue"])


def child(code: str, *arguments: str) -> Child:
    command = [sys.executable, "-c", code, *arguments]
    return Child(command, dict(os.environ), os.getpid(), SystemClock(), SystemIds())


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    kept = child(f"import os; open({str(marks)!r}, 'a').write('x')")
    await kept.start()
    await until(lambda: marks.exists() and len(marks.read_text()) >= 2)
    await kept.stop()


async def test_a_child_that_ended_for_good_is_left_alone(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    ended = child(f"import sys; open({str(marks)!r}, 'a').write('x'); sys.exit({FINAL_STATUS})")
    await ended.start()
    await asyncio.wait_for(ended.ended(), 20)
    assert marks.read_text() == "x"
    await ended.stop()


async def test_stopping_asks_the_child_to_end_and_waits(tmp_path: Path) -> None:
    ready, done = tmp_path / "ready", tmp_path / "done"
    # A handler of its own: Python swallows a KeyboardInterrupt that falls into a destructor.
    polite = child(
        "import os, signal, time\n"
        f"signal.signal(signal.SIGINT, lambda *_: (open({str(done)!r}, 'w').close(), os._exit(0)))\n"
        f"open({str(ready)!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    await polite.start()
    await until(ready.exists)
    await polite.stop()
    assert done.exists()


def test_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
from batuta_chassis.child import Child
from batuta_rpc.clock import SystemClock
from batuta_rpc.ids import SystemIds
async def main():
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    await Child([sys.executable, "-c", code], dict(os.environ), os.getpid(), SystemClock(), SystemIds()).start()
    await asyncio.sleep(100)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    assert parent.stdout.read() == ""  # ends when the last holder of the pipe, the child, has ended
    parent.wait(10)
    assert not Path(f"/proc/{pid}/cmdline").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b""


async def test_what_stands_in_the_way_of_up_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"data": tmp_path / "file" / "data"}, "cannot use the folder .*--data"),
            ({"port": taken.getsockname()[1]}, "the api service cannot listen on 127.0.0.1:[0-9]+: the port is taken"),
            ({"host": "192.0.2.1", "allow_plaintext": True}, "cannot listen on 192.0.2.1:.*another host or port"),
        ]
        for number, (chosen, words) in enumerate(cases):
            options = replace(Options(tmp_path / str(number), port=0, queue_port=0, agent=False), **chosen)
            with pytest.raises(SettingsError, match=words):
                await Deployment(options, SystemClock(), SystemIds()).start()


async def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "api.db").write_bytes(b"anything else" * 500)
    options = Options(tmp_path, port=0, queue_port=0, agent=False)
    with pytest.raises(SettingsError, match=r"cannot use the database .*api.db \(file is not a database\)"):
        await Deployment(options, SystemClock(), SystemIds()).start()


async def test_the_api_has_an_http_port_that_is_found_again_or_none_where_none_is_wanted(tmp_path: Path) -> None:
    first = deployment(tmp_path, Steps())
    await first.start()
    http = first.http
    assert json.loads((tmp_path / "endpoints.json").read_text())["http"] == http
    assert (await HttpClient(http).send("GET", "/healthz")).body == b"ok\n"
    await first.stop(0)
    again = deployment(tmp_path, Steps())
    await again.start()
    assert again.http == http
    await again.stop(0)
    none = deployment(tmp_path, Steps(), http_port=-1)
    await none.start()
    assert none.http == ""
    await none.stop(0)


async def test_under_tls_the_http_port_speaks_it_too(tmp_path: Path) -> None:
    up = deployment(tmp_path, Steps(), tls="generated")
    await up.start()
    assert up.http.startswith("https://")
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", int(up.http.rsplit(":", 1)[1]), ssl=anybody)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await up.stop(0)
