"""Artifacts in S3, played by moto's server on a loopback port; and what of Google's store can be seen without it."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from batuta_api.__main__ import build
from batuta_api.artifacts.blobs import BlobMissing
from batuta_api.artifacts.blobs_url import UrlBlobs
from batuta_api.artifacts.places import BlobPlaces
from batuta_chassis.testing import running
from batuta_proto.projects import v1 as projects
from batuta_rpc.errors import ContentLost, UpstreamUnavailable

MIB = 1 << 20


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an S3 with an empty bucket, which the server finds as well."""
    surroundings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()  # a client of an earlier server
    client: Any = boto3.client("s3")
    client.create_bucket(Bucket="batuta")
    yield client
    for each in client.list_objects_v2(Bucket="batuta").get("Contents", ()):
        client.delete_object(Bucket="batuta", Key=each["Key"])
    client.delete_bucket(Bucket="batuta")


def keys(s3: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket="batuta").get("Contents", ())]


async def test_artifacts_go_to_s3_and_come_back_in_parts(queue: Any, tmp_path: Path, make_stubs: Any, s3: Any) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "artifacts_uri": "s3://batuta/lab/"}
    async with running(build, tmp_path, service="api", **settings) as process:
        member = make_stubs(process)
        task = await member.draft()
        data = os.urandom(MIB)
        made = await member.upload(data, task_id=task.id)
        [key] = keys(s3)
        assert key.startswith(f"lab/tasks/{task.id}/0/")
        assert made.uri == f"s3://batuta/{key}"
        assert await member.download(made.id) == data
        assert await member.download(made.id, offset=MIB - 5, length=3) == data[-5:-2]
        assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []
        s3.delete_object(Bucket="batuta", Key=key)
        with pytest.raises(ContentLost, match="backup"):
            await member.download(made.id)


async def test_a_project_has_its_own_place_where_the_operator_allows_it(
    queue: Any, tmp_path: Path, make_stubs: Any, s3: Any
) -> None:
    settings: dict[str, Any] = {"queue_endpoint": queue.endpoint, "artifact_stores": "s3://batuta/teams"}
    async with running(build, tmp_path, service="api", **settings) as process:
        member = make_stubs(process)
        project = (await member.projects.CreateProject(projects.CreateProjectRequest(display_name="vision"))).project
        changed = projects.Project(id=project.id, default_output_uri="s3://batuta/teams/vision")
        update = projects.UpdateProjectRequest(project=changed, update_mask={"paths": ["default_output_uri"]})
        await member.projects.UpdateProject(update)
        made = await member.upload(b"weights", task_id=(await member.draft()).id)
        assert made.uri.startswith("s3://batuta/teams/vision/tasks/")
        assert await member.download(made.id) == b"weights"
        own = await member.upload(b"mine", task_id=(await member.draft(project="other")).id)
        assert (own.uri, len(keys(s3))) == ("", 1)


def test_an_object_is_there_whole_or_not_at_all(s3: Any, tmp_path: Path) -> None:
    blobs = UrlBlobs("s3://batuta")
    large = tmp_path / "large"
    large.write_bytes(os.urandom(52 * MIB))  # more than goes in one part
    blobs.put(large, "tasks/t/1/b")
    reader = blobs.open("tasks/t/1/b")
    reader.seek(50 * MIB)
    assert reader.read(3 * MIB) == large.read_bytes()[50 * MIB :]
    reader.close()
    blobs.remove("tasks/t/1/b")
    blobs.remove("tasks/t/1/b")
    with pytest.raises(BlobMissing):
        blobs.open("tasks/t/1/b")


def test_a_store_that_refuses_is_told_as_such(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UpstreamUnavailable, match="no such place"):
        UrlBlobs("s3://nobodys-bucket").put(tmp_path / "x", "tasks/t/1/b")


def test_googles_store_is_known_by_its_addresses(tmp_path: Path) -> None:
    """No more than this can be seen without a network: fsspec finds the package, and the place is taken apart."""
    import fsspec

    assert fsspec.get_filesystem_class("gs").__module__.startswith("gcsfs")
    assert BlobPlaces(tmp_path, allowed=("gs://b/f",)).destination("gs://b/f/g") == "gs://b/f/g"
