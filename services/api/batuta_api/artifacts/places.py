"""Which stores there are: the server's own, and those that projects may name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from batuta_api.artifacts.blobs import BlobStore
from batuta_api.artifacts.blobs_local import LocalBlobs
from batuta_chassis.settings import Settings, SettingsError
from batuta_rpc.errors import UpstreamUnavailable

OWN = ""
"""The server's own folder, wherever its data folder stands."""
_EXTRAS = {"s3": "aws", "gs": "gcp"}
_URL = re.compile(r"(s3|gs)://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_=+@,-][A-Za-z0-9._=+@,-]*)*")


class Forbidden(Exception):
    """A project names a store that the operator has not allowed. The text says what to do."""


class BlobPlaces:
    """All stores of one process, opened when they are first asked for."""

    def __init__(self, folder: Path, default: str = OWN, allowed: Sequence[str] = ()) -> None:
        """`folder` is the server's own. `default`: where artifacts go, unless their project names one of `allowed` or
        something below it."""
        self._folder = folder
        self._default = default
        self._allowed = tuple(dict.fromkeys([*(each for each in (default,) if _URL.fullmatch(each)), *allowed]))
        self._open: dict[str, BlobStore] = {}

    @classmethod
    def of(cls, settings: Settings) -> BlobPlaces:
        """Those that the settings name. Raises `SettingsError`."""
        given = [each.strip().rstrip("/") for each in settings.artifact_stores.split(",") if each.strip()]
        for url in given:
            if not _URL.fullmatch(url):
                raise SettingsError(f"artifact_stores takes s3://BUCKET/FOLDER and gs://BUCKET/FOLDER, not {url!r}")
        default = settings.artifacts_uri.strip().rstrip("/")
        (settings.data_dir / "artifacts").mkdir(mode=0o700, parents=True, exist_ok=True)
        made = cls(settings.data_dir / "artifacts" / "blobs", _checked(default), given)
        for url in {default, *given}:
            made._open_or_refuse(url)
        return made

    def destination(self, project_uri: str) -> str:
        """Where new artifacts of a project go. Raises `Forbidden`."""
        wanted = project_uri.strip().rstrip("/")
        if not wanted:
            return self._default
        if _URL.fullmatch(wanted) and any(f"{wanted}/".startswith(f"{each}/") for each in self._allowed):
            return wanted
        raise Forbidden(
            f"the project's artifacts go to {wanted!r} (its default_output_uri), which this server may not write: "
            "the operator allows it by the setting artifact_stores, or empty the project's default_output_uri"
        )

    def at(self, store: str) -> BlobStore:
        """The store of an address. Raises `UpstreamUnavailable` when its package is gone from the server."""
        known = self._open.get(store)
        if known is not None:
            return known
        try:
            made = self._open[store] = self._opened(store)
        except (ImportError, OSError, ValueError) as error:
            raise UpstreamUnavailable(f"the server cannot open {store or self._folder}: {error}") from error
        return made

    def _open_or_refuse(self, store: str) -> None:
        try:
            self._open[store] = self._opened(store)
        except ImportError as error:
            extra = _EXTRAS[store.partition(":")[0]]
            raise SettingsError(f"{store} needs packages: pip install 'batuta[server,{extra}]' ({error})") from error
        except OSError as error:
            raise SettingsError(f"artifacts cannot be kept in {store or self._folder}: {error.strerror}") from error

    def _opened(self, store: str) -> BlobStore:
        if store == OWN:
            return LocalBlobs(self._folder)
        if store.startswith("file://"):
            return LocalBlobs(Path(store.removeprefix("file://")))
        from batuta_api.artifacts.blobs_url import UrlBlobs  # here: fsspec takes a while to load

        return UrlBlobs(store)


def _checked(uri: str) -> str:
    if not uri or _URL.fullmatch(uri):
        return uri
    path = Path(uri.removeprefix("file://"))
    if uri.startswith("file:///") and path.is_absolute() and ".." not in path.parts:
        return uri
    raise SettingsError(
        f"artifacts_uri is file:///FOLDER, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, not {uri!r}; empty: the data "
        "folder"
    )
