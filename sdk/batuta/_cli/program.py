"""The whole command line as one parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from batuta._cli import (
    access_keys,
    agent_care,
    agents,
    artifact_files,
    artifacts,
    audit,
    histories,
    login,
    plugins,
    project_access,
    projects,
    queue_care,
    queue_move,
    queue_pause,
    queue_release,
    queues,
    sync,
    task_attempts,
    task_changes,
    task_edit,
    task_logs,
    task_metrics,
    task_watch,
    tasks,
    users,
)
from batuta._cli.arguments import SubParsers, command, verbs
from batuta._cli.context import Context
from batuta_rpc.version import VERSION

_DESCRIPTION = "Track, queue and run training scripts on your own machines."
_EPILOG = """Example:
  batuta init --file admin.credentials
  batuta task list
  batuta COMMAND --help"""

Add = Callable[[SubParsers, Context], None]
_NOUNS: dict[str, tuple[str, str, tuple[Add, ...]]] = {
    "task": (
        "tasks: list, follow, enqueue, stop",
        "batuta task list --state running",
        (
            tasks.add,
            task_edit.add,
            task_changes.add,
            task_attempts.add,
            task_logs.add,
            task_metrics.add,
            task_watch.add,
        ),
    ),
    "artifact": (
        "artifacts: list, look into, get, put, delete",
        "batuta artifact list TASK",
        (artifacts.add, artifact_files.add),
    ),
    "project": (
        "projects: make, list, look into, move, join, close, remove",
        "batuta project list",
        (projects.add, project_access.add),
    ),
    "queue": (
        "queues: make, list, look into, put in order, clear, pause, remove",
        "batuta queue list",
        (queues.add, queue_care.add, histories.add_queue, queue_move.add, queue_pause.add, queue_release.add),
    ),
    "agent": (
        "agents: list, let one join, drain, start one",
        "batuta agent list",
        (agents.add, agent_care.add, histories.add_agent),
    ),
    "user": ("users: add, list, change, disable", "batuta user list", (users.add,)),
    "credentials": ("credentials: make, list, revoke", "batuta credentials list", (access_keys.add,)),
    "audit": ("who changed what, and who was refused", "batuta audit changes --by ada", (audit.add,)),
}


def build(context: Context, found: Sequence[plugins.Plugin], argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser. Every command sets `run`: a function of the parsed arguments that returns an exit code or None."""
    parser = argparse.ArgumentParser(
        prog="batuta",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"batuta {VERSION}")
    root = verbs(parser)
    login.add(root, context)
    sync.add(root, context)
    tree: dict[tuple[str, ...], SubParsers] = {(): root}
    for name, (sentence, example, parts) in _NOUNS.items():
        tree[name,] = noun(root, name, sentence, example)
        for add in parts:
            add(tree[name,], context)
    plugins.attach(tree, found, argv)
    return parser


def noun(root: SubParsers, name: str, sentence: str, example: str) -> SubParsers:
    """The commands about one kind of thing."""
    return verbs(command(root, name, sentence, example))
