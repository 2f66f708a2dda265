"""Environments with tiny packages of our own in a folder: no registry is asked, but where a test says so."""

from __future__ import annotations

import asyncio
import subprocess
import zipfile
from pathlib import Path

import pytest

from batuta_agent.environment.failure import InfrastructureFailed, PreparationFailed
from batuta_agent.environment.interpreters import Interpreters, own_interpreter
from batuta_agent.environment.requirements import parse
from batuta_agent.environment.sdk_wheel import SdkWheel, make_wheel
from batuta_agent.environment.tool import Tools
from batuta_agent.environment.venv import VenvCache, say_sdk_difference
from batuta_agent.testing import until


def tiny_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = '{version}'\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def links(tmp_path: Path, tools: Tools) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    tiny_wheel(folder, "alpha", "1.0")
    tiny_wheel(folder, "alpha", "2.0")
    tiny_wheel(folder, "beta", "1.0", "alpha<2")
    tools.env |= {"UV_FIND_LINKS": str(folder), "UV_NO_INDEX": "1", "UV_CACHE_DIR": str(tmp_path / "uv")}
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> VenvCache:
    (tmp_path / "venvs").mkdir()
    return VenvCache(tmp_path / "venvs", limit=2)


SDK = SdkWheel(Path("/none.whl"), "0.1.0", "d")


def version_in(python: str, name: str) -> str:
    done = subprocess.run([python, "-c", f"import {name}; print({name}.version)"], capture_output=True, text=True)
    return done.stdout.strip()


async def test_an_environment_is_built_once_and_then_found(
    cache: VenvCache, tools: Tools, links: Path, said: list[str]
) -> None:
    first = await cache.get(own_interpreter(), parse(["alpha==1.0"]), SDK, tools)
    assert not first.cached
    assert version_in(first.python, "alpha") == "1.0"
    assert any("building an environment" in line for line in said)
    said.clear()
    second = await cache.get(own_interpreter(), parse(["alpha == 1.0"]), SDK, tools)
    assert second.path != first.path, "another spelling is another environment: rare, and never wrong"
    third = await cache.get(own_interpreter(), parse(["alpha==1.0"]), SDK, tools)
    assert (third.cached, third.path) == (True, first.path)
    for each in (first, second, third):
        each.held.release()


async def test_two_agents_that_need_the_same_environment_build_it_once(
    tmp_path: Path, tools: Tools, links: Path
) -> None:
    (tmp_path / "venvs").mkdir()
    caches = [VenvCache(tmp_path / "venvs") for _ in range(2)]
    found = await asyncio.gather(*(each.get(own_interpreter(), parse(["alpha"]), SDK, tools) for each in caches))
    assert sorted(each.cached for each in found) == [False, True]


async def test_the_longest_unused_environment_goes_and_one_in_use_stays(
    cache: VenvCache, tools: Tools, links: Path
) -> None:
    in_use = await cache.get(own_interpreter(), parse([]), SDK, tools)
    old = await cache.get(own_interpreter(), parse(["alpha==1.0"]), SDK, tools)
    old.held.release()
    young = await cache.get(own_interpreter(), parse(["alpha==2.0"]), SDK, tools)
    assert [each.path.exists() for each in (in_use, old, young)] == [True, False, True]
    last = await cache.get(own_interpreter(), parse(["beta"]), SDK, tools)
    assert [each.path.exists() for each in (in_use, old, young, last)] == [True, False, True, True]


async def test_half_an_environment_that_a_crash_left_is_built_anew(cache: VenvCache, tools: Tools, links: Path) -> None:
    first = await cache.get(own_interpreter(), parse(["alpha"]), SDK, tools)
    first.held.release()
    (first.path / ".batuta-complete").unlink()
    again = await cache.get(own_interpreter(), parse(["alpha"]), SDK, tools)
    assert not again.cached
    assert version_in(again.python, "alpha") == "2.0"


async def test_a_missing_package_is_named(cache: VenvCache, tools: Tools, links: Path) -> None:
    with pytest.raises(PreparationFailed, match=r"^package gamma==3 cannot be installed: ") as caught:
        await cache.get(own_interpreter(), parse(["alpha", "beta", "gamma==3"]), SDK, tools)
    assert not isinstance(caught.value, InfrastructureFailed)
    assert "\n" not in str(caught.value)


async def test_packages_that_contradict_each_other_are_told(cache: VenvCache, tools: Tools, links: Path) -> None:
    with pytest.raises(PreparationFailed, match="cannot be installed") as caught:
        await cache.get(own_interpreter(), parse(["alpha==2.0", "beta==1.0"]), SDK, tools)
    assert not isinstance(caught.value, InfrastructureFailed)


async def test_a_registry_that_does_not_answer_is_infrastructure(cache: VenvCache, tools: Tools, links: Path) -> None:
    tools.env |= {"UV_INDEX_URL": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    del tools.env["UV_NO_INDEX"]
    with pytest.raises(InfrastructureFailed, match="registry"):
        await cache.get(own_interpreter(), parse(["gamma==3"]), SDK, tools)


async def test_a_build_that_is_cancelled_leaves_nothing_behind(cache: VenvCache, tools: Tools, tmp_path: Path) -> None:
    tools.env |= {"UV_INDEX_URL": "http://10.255.255.1/simple"}  # nobody answers there
    building = asyncio.ensure_future(cache.get(own_interpreter(), parse(["gamma"]), SDK, tools))
    await until(lambda: list((tmp_path / "venvs").glob("*/batuta-requirements.txt")))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert [each.name for each in (tmp_path / "venvs").iterdir() if each.is_dir()] == []


async def test_a_missing_interpreter_is_told_and_the_agents_own_is_used(tools: Tools, said: list[str]) -> None:
    found = await Interpreters().find("3.2", tools)
    assert found == own_interpreter()
    assert said == [f"there is no Python 3.2 on this machine; going on with Python {found.version}"]


async def test_the_agents_own_interpreter_serves_its_own_version(tools: Tools, said: list[str]) -> None:
    own = own_interpreter()
    for wanted in ("", own.version.rpartition(".")[0], own.version):
        assert await Interpreters().find(wanted, tools) == own
    assert said == []


async def test_another_release_of_the_sdk_is_told(tools: Tools, said: list[str]) -> None:
    await say_sdk_difference(parse(["batuta==0.0.1", "alpha"]), SDK, tools)
    assert said == ["batuta==0.0.1 was asked for; this agent offers batuta 0.1.0"]
    said.clear()
    await say_sdk_difference(parse(["batuta == 0.1.0"]), SDK, tools)
    assert said == []


def test_the_wheel_is_the_same_every_time_and_holds_the_sdk_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = make_wheel(tmp_path / "a")
    second = make_wheel(tmp_path / "b")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.path.name == f"batuta-{first.version}-py3-none-any.whl"
    with zipfile.ZipFile(first.path) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        metadata = wheel.read(f"batuta-{first.version}.dist-info/METADATA").decode()
        points = wheel.read(f"batuta-{first.version}.dist-info/entry_points.txt").decode()
    info = f"batuta-{first.version}.dist-info"
    assert tops == {"batuta", "batuta_courier", "batuta_proto", "batuta_rpc", info}
    assert "Requires-Dist: grpcio" in metadata
    assert "sqlalchemy" not in metadata
    assert "batuta = batuta._cli.main:main" in points
    assert "batuta_agent" not in points


async def test_the_wheel_replaces_a_requirement_on_the_sdk_and_imports(tools: Tools, tmp_path: Path) -> None:
    """The one test here that asks the registry: for grpcio and protobuf."""
    (tmp_path / "venvs").mkdir()
    (tmp_path / "wheels").mkdir()
    sdk = make_wheel(tmp_path / "wheels")
    found = await VenvCache(tmp_path / "venvs").get(own_interpreter(), parse(["batuta==0.0.7"]), sdk, tools)
    code = "import batuta, importlib.metadata as m, batuta_proto.tasks.v1; print(batuta.__file__, m.version('batuta'))"
    argv = [found.python, "-I", "-c", code]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
    path, version = done.stdout.split()
    assert path.startswith(str(found.path))
    assert version == sdk.version
