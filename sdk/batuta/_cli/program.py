"""The whole command line as one parser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

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
    tree["task",] = noun(root, "task", "tasks: list, follow, enqueue, stop", "batuta task list --state running")
    tasks.add(tree["task",], context)
    task_edit.add(tree["task",], context)
    task_changes.add(tree["task",], context)
    task_attempts.add(tree["task",], context)
    task_logs.add(tree["task",], context)
    task_metrics.add(tree["task",], context)
    task_watch.add(tree["task",], context)
    tree["artifact",] = noun(
        root, "artifact", "artifacts: list, look into, get, put, delete", "batuta artifact list TASK"
    )
    artifacts.add(tree["artifact",], context)
    artifact_files.add(tree["artifact",], context)
    tree["project",] = noun(
        root, "project", "projects: make, list, look into, move, join, remove", "batuta project list"
    )
    projects.add(tree["project",], context)
    project_access.add(tree["project",], context)
    tree["queue",] = noun(
        root, "queue", "queues: make, list, look into, put in order, clear, pause, remove", "batuta queue list"
    )
    queues.add(tree["queue",], context)
    queue_care.add(tree["queue",], context)
    histories.add_queue(tree["queue",], context)
    queue_move.add(tree["queue",], context)
    queue_pause.add(tree["queue",], context)
    queue_release.add(tree["queue",], context)
    tree["agent",] = noun(root, "agent", "agents: list, let one join, drain, start one", "batuta agent list")
    agents.add(tree["agent",], context)
    agent_care.add(tree["agent",], context)
    histories.add_agent(tree["agent",], context)
    tree["user",] = noun(root, "user", "users: add, list, change, disable", "batuta user list")
    users.add(tree["user",], context)
    tree["credentials",] = noun(root, "credentials", "credentials: make, list, revoke", "batuta credentials list")
    access_keys.add(tree["credentials",], context)
    tree["audit",] = noun(root, "audit", "who changed what, and who was refused", "batuta audit changes --by ada")
    audit.add(tree["audit",], context)
    plugins.attach(tree, found, argv)
    return parser


def noun(root: SubParsers, name: str, sentence: str, example: str) -> SubParsers:
    """The commands about one kind of thing."""
    return verbs(command(root, name, sentence, example))
