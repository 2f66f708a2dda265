"""The environment variables of a user's process and of its courier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from batuta_agent.model import Ref
from batuta_rpc import trace

_DROPPED = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT", trace.VARIABLE)


def machine(env: Mapping[str, str]) -> dict[str, str]:
    """The machine's environment, less what is the agent's own: its key, its settings, its interpreter's paths."""
    return {name: value for name, value in env.items() if not name.startswith("BATUTA_") and name not in _DROPPED}


def courier(env: Mapping[str, str], token: str, ca_file: str, traceparent: str = "") -> dict[str, str]:
    """For a courier: it acts for this attempt only. `ca_file`: whom it believes; empty: whom everybody believes."""
    return {**machine(env), "BATUTA_ATTEMPT_TOKEN": token, **_believing(ca_file), **_traced(traceparent)}


def _traced(traceparent: str) -> dict[str, str]:
    """So that what a process calls belongs to the trace of its task."""
    return {trace.VARIABLE: traceparent} if traceparent else {}


def interpreter(env: Mapping[str, str], venv: Path) -> dict[str, str]:
    """What is the same for every run in an environment: in it an interpreter can start before there is a task."""
    return {
        **machine(env),
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv / 'bin'}:{env.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
    }


def run(
    env: Mapping[str, str],
    ref: Ref,
    api: str,
    token: str,
    ca_file: str,
    spool: Path,
    venv: Path,
    gpus: Sequence[str],
    traceparent: str = "",
) -> dict[str, str]:
    """For the user's process. It holds the attempt's token and never the agent's key."""
    found = {
        **interpreter(env, venv),
        "BATUTA_TASK_ID": ref.task_id,
        "BATUTA_ATTEMPT": str(ref.attempt),
        "BATUTA_API": api,
        "BATUTA_ATTEMPT_TOKEN": token,
        "BATUTA_SPOOL_DIR": str(spool),
        **_believing(ca_file),
        **_traced(traceparent),
    }
    if gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return found


def _believing(ca_file: str) -> dict[str, str]:
    return {"BATUTA_CA_FILE": ca_file} if ca_file else {}
