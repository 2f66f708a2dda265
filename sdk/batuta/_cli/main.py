"""The program's start and its end: arguments in, exit code out, every failure one line on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from batuta._cli import plugins, program
from batuta._cli.context import Context
from batuta._cli.failures import FAILED, INTERRUPTED, OK, PIPE_CLOSED, CliError, sentences

_CLIENTS = ("init", "task", "artifact", "queue", "sync", "user", "credentials")
"""Commands that only ask a server."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 (failure), 2 (usage), 130 (Ctrl-C) or 141 (nobody reads the output any more)."""
    _open_streams()
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in _CLIENTS:  # gRPC's own lines stand beside ours otherwise, and nothing inherits this
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    context = Context.of_this_process()
    try:
        code = run(context, words)
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    except OSError:  # of a full disk; where it was `run` that met it, the line is told already
        code = FAILED
    else:
        return code
    _discard_stdout()
    return code


def _open_streams() -> None:
    """Streams that the caller has closed lead nowhere; Python leaves None in their places."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def _discard_stdout() -> None:
    """Python would complain once more when it flushes stdout at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(context: Context, argv: Sequence[str]) -> int:
    """The same with everything handed in. Lets `BrokenPipeError` through; a usage error becomes its code, 2."""
    found = plugins.installed()
    try:
        args = program.build(context, found, argv).parse_args(argv)
        code: int | None = args.run(args)
    except SystemExit as leaving:  # argparse has printed help or a usage error
        return leaving.code if isinstance(leaving.code, int) else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except CliError as error:
        context.note(error.message)
        return error.code
    except BrokenPipeError:
        raise
    except Exception as error:
        failure = _explain(error, found, argv)
        context.note(failure.message)
        return failure.code
    return OK if code is None else code


def _explain(error: Exception, found: Sequence[plugins.Plugin], argv: Sequence[str]) -> CliError:
    """The one line for what a command raised. Raises it again when it is a fault of ours."""
    from batuta_rpc.errors import RpcError

    called = plugins.called(found, argv)
    if isinstance(error, ImportError) and called is not None:
        return plugins.unusable(called.name, error)
    if isinstance(error, RpcError):
        return CliError(sentences(error.message, _next_step(error)))
    if isinstance(error, UnicodeEncodeError):
        return CliError("an argument is not UTF-8 text.")
    if isinstance(error, OSError) and error.strerror:
        return CliError(sentences(f"{error.filename}: {error.strerror}" if error.filename else error.strerror))
    if isinstance(error, (ValueError, OSError)):
        return CliError(str(error))
    raise error


def _next_step(error: Exception) -> str:
    from batuta_rpc import errors

    steps: dict[type[Exception], str] = {
        errors.TaskNotFound: "`batuta task list` shows the tasks.",
        errors.ArtifactNotFound: "`batuta artifact list TASK` shows them.",
        errors.AgentNotFound: "`batuta agent list` shows the agents.",
        errors.UserNotFound: "`batuta user list` shows the users.",
        errors.CredentialNotFound: "`batuta credentials list` shows the credentials.",
        errors.CredentialInvalid: "`batuta init` stores another credential.",
        errors.EtagMismatch: "Somebody else changed it meanwhile; look again and repeat.",
    }
    return steps.get(type(error), "")


if __name__ == "__main__":
    sys.exit(main())
