"""What a shim's record means: how the attempt ended, in words for the report."""

from __future__ import annotations

import signal
from dataclasses import replace

from batuta_agent.environment.failure import ENVIRONMENT
from batuta_agent.model import Ending, Phase
from batuta_agent.shim.memory import OURS
from batuta_agent.shim.state import CANCELLED, LEASE_LOST, TERMINATED, TIME_LIMIT, State
from batuta_proto.agents import v1 as agents

_CANCELS: dict[int, tuple[str, str]] = {
    agents.CANCEL_REASON_USER: ("USER_ABORT", "stopped because somebody asked"),
    agents.CANCEL_REASON_TIMEOUT: ("TIME_LIMIT", "stopped because its time limit ran out"),
    agents.CANCEL_REASON_PREEMPTED: ("PREEMPTED", "stopped because more important work needs the place"),
    agents.CANCEL_REASON_SUPERSEDED: ("SUPERSEDED", "stopped because a newer attempt exists"),
}

BY_ITSELF = frozenset({"EXIT_CODE", "SIGNAL"})
"""Reasons of a run that failed without anybody having stopped it."""


def cancelled(reason: int) -> Ending:
    """The end of an attempt that was cancelled; `reason` is a `CancelReason`."""
    word, text = _CANCELS.get(reason, _CANCELS[agents.CANCEL_REASON_USER])
    return Ending(Phase.CANCELLED, word, text)


def of_state(state: State | None, reason: int, last_words: str) -> Ending:
    """The end that a shim recorded; None: it is gone and recorded none.

    `reason` is the `CancelReason` of a cancel that was sent, `last_words` what an uncaught exception said.
    """
    if state is None:
        text = "the process that watches over the run is gone, and the run with it"
        return Ending(Phase.FAILED, "SHIM_LOST", text)
    ended = _by_cause(state, reason) or _by_status(state, last_words)
    text = f"{ended.message} ({state.message})" if state.message and ended.reason != ENVIRONMENT else ended.message
    return Ending(ended.phase, ended.reason, text, state.exit_code, state.signal)


def of_ill_gpu(failed: Ending, trouble: str) -> Ending:
    """The end of a run that failed by itself on a GPU that is ill: not its own fault."""
    return replace(failed, reason="GPU_UNHEALTHY", message=f"{failed.message}; {trouble}")


def _by_cause(state: State, reason: int) -> Ending | None:
    if state.cause == CANCELLED:
        return cancelled(reason)
    if state.cause == TIME_LIMIT:
        return cancelled(agents.CANCEL_REASON_TIMEOUT)
    if state.cause == LEASE_LOST:
        return Ending(Phase.LOST, "LEASE_LOST", "stopped because the broker was out of reach for longer than the lease")
    if state.cause == TERMINATED:
        return Ending(Phase.FAILED, "SHIM_LOST", "stopped because the machine told it to end")
    return None


def _by_status(state: State, last_words: str) -> Ending:
    if state.child_pid == 0:
        return Ending(Phase.FAILED, ENVIRONMENT, state.message or "the program could not be started")
    if state.signal == signal.SIGKILL and state.oom:
        return Ending(Phase.FAILED, "OOM", _out_of_memory(state))
    if state.signal is not None:
        return Ending(Phase.FAILED, "SIGNAL", f"killed by {_signal_name(state.signal)}")
    if state.exit_code == 0:
        return Ending(Phase.SUCCEEDED)
    text = f"exit code {state.exit_code}"
    if state.oom == OURS:
        last_words = f"{last_words or 'it ended'} (the kernel had killed a process of it for want of memory)"
    return Ending(Phase.FAILED, "EXIT_CODE", f"{text}: {last_words}" if last_words else text)


def _out_of_memory(state: State) -> str:
    if state.oom != OURS:
        return "killed by SIGKILL, probably by the kernel: the machine ran out of memory while it ran"
    limit = f", of {_mebibytes(state.memory_limit)} allowed" if state.memory_limit else ""
    peak = f": it had used {_mebibytes(state.memory_peak)}" if state.memory_peak else ""
    return f"killed by the kernel for want of memory{peak}{limit}"


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
