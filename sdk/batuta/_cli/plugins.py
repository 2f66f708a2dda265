"""Commands that other packages bring, by the entry-point group `batuta.commands`.

An entry's name is the command's words joined by dots (`agent.start`), its value a function `add_parser(subparsers)`
that adds one parser with the default `run`: a function of the parsed arguments that returns the exit code. Only the
command that is called is loaded, so that help stays quick and a broken plug-in hurts nobody but its own users.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import takewhile
from typing import Any

from batuta._cli.arguments import SubParsers, command, verbs
from batuta._cli.failures import CliError

GROUP = "batuta.commands"
KNOWN = {
    "up": ("serve everything on this machine until Ctrl-C", "server"),
    "admin.backup": (
        "copy databases, artifacts, keys and logins of the server on this machine, while it runs",
        "server",
    ),
    "admin.restore": ("make a data folder from a backup, whose files are checked first", "server"),
    "admin.health": ("ask a server whether it serves, as containers and balancers do", "server"),
    "admin.migrate": ("bring the databases to the schema of this release, as the services' start does", "server"),
    "admin.check": ("prove from the tables that nothing is lost, doubled or left over", "server"),
    "admin.gc": ("remove what has had its time and what was left over", "server"),
    "config.show": (
        "every setting of the services: its value here, where that comes from, and how to set it",
        "server",
    ),
    "agent.start": ("run tasks from queues on this machine", "agent"),
}
"""What our own plug-ins are for, known without loading them, and the extra that each needs."""

NOUNS = {
    "admin": ("the server on this machine: its health, back it up, restore it", "batuta admin COMMAND --help"),
    "config": ("the settings of the services", "batuta config show queue"),
}
"""What the nouns are that only plug-ins use: a sentence and an example."""


@dataclass(frozen=True)
class Plugin:
    """One entry point."""

    name: str
    load: Callable[[], Any]

    @property
    def path(self) -> tuple[str, ...]:
        """The words of the command."""
        return tuple(self.name.split("."))

    @property
    def sentence(self) -> str:
        """What it is for, in a few words."""
        return KNOWN.get(self.name, ("brought by another package", ""))[0]


def installed() -> list[Plugin]:
    """All plug-ins of this environment, by name; the first of each name counts."""
    found: dict[str, Plugin] = {}
    for point in _points():
        found.setdefault(point.name, Plugin(point.name, point.load))
    return [found[name] for name in sorted(found)]


def _points() -> Iterable[metadata.EntryPoint]:
    if sys.version_info >= (3, 10):
        return metadata.entry_points(group=GROUP)
    everything: Any = metadata.entry_points()
    return tuple(everything.get(GROUP, ()))


def attach(tree: dict[tuple[str, ...], SubParsers], plugins: Sequence[Plugin], argv: Sequence[str]) -> None:
    """Add each plug-in's parser to `tree` (command path to the place for the commands below it).

    Only the one that `argv` calls is loaded; the others stand there for the help. Raises `CliError` when that one
    cannot be loaded.
    """
    chosen = called(plugins, argv)
    for plugin in plugins:
        place = _place(tree, plugin.path[:-1])
        if plugin is chosen:
            _load(plugin, place)
        else:
            place.add_parser(plugin.path[-1], help=plugin.sentence)


def _place(tree: dict[tuple[str, ...], SubParsers], path: tuple[str, ...]) -> SubParsers:
    if path not in tree:
        name = path[-1]
        sentence, example = NOUNS.get(name, (f"commands about {name}s", f"batuta {' '.join(path)} COMMAND --help"))
        tree[path] = verbs(command(_place(tree, path[:-1]), name, sentence, example))
    return tree[path]


def _load(plugin: Plugin, place: SubParsers) -> None:
    try:
        plugin.load()(place)
    except Exception as error:
        raise unusable(plugin.name, error) from error


def unusable(name: str, error: Exception) -> CliError:
    """The one line for a plug-in that cannot be loaded."""
    words = f"batuta {name.replace('.', ' ')}"
    extra = KNOWN.get(name, ("", ""))[1]
    if extra and isinstance(error, ImportError):
        return CliError(f"{words} needs the {extra}: pip install 'batuta[{extra}]' (missing: {error.name or error})")
    return CliError(
        f"{words} cannot be loaded ({type(error).__name__}: {error}). Update or remove the package that brings it."
    )


def called(plugins: Sequence[Plugin], argv: Sequence[str]) -> Plugin | None:
    """The plug-in that `argv` calls, if it calls one."""
    words = tuple(takewhile(lambda word: not word.startswith("-"), argv))
    return next((plugin for plugin in plugins if words[: len(plugin.path)] == plugin.path), None)
