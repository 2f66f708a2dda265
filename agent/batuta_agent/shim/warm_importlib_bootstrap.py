"""The program of a warm interpreter: a Python that has started already and waits to be told what to run.

The shim's fork starts it as `python FILE ORDERED SAYING`, two handles. It says `ready`, or in a line why it will not
serve, reads one message from ORDERED (`batuta_agent.shim.launch` writes it), and turns into what `python SCRIPT` or
`python -m MODULE` would be at that moment; the end of SAYING says that it has. What it cannot become by itself it
executes: then it is what it would have been without all this.

It imports nothing that Python has not imported by itself, and its names are not in the user's `__main__`. The name of
the file has a purpose: `warnings` passes over frames of files that have `importlib` and `_bootstrap` in their names, so
that no `stacklevel` ends in ours. It runs in the environment's Python: 3.9 or newer.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` is not there yet when Python has started
if TYPE_CHECKING:
    from types import CodeType

_HARMLESS = ("_virtualenv.pth", "distutils-precedence.pth")
"""What uv and setuptools run in every start: it looks at nothing that differs from one task to the next."""
_MOST_MEMORY = 64 << 20


def main(ordered: int, saying: int) -> None:
    """Wait for the message and become what it says."""
    for handle in (ordered, saying):
        os.set_inheritable(handle, False)
    del sys.modules["__future__"]  # a new interpreter has not imported it; everything else here it has
    in_front = not getattr(sys.flags, "safe_path", False)
    if in_front:
        del sys.path[0]  # where this file lies
    trouble = _unfit()
    os.write(saying, f"{trouble or 'ready'}\n".encode())
    message = b"" if trouble else _all_of(ordered)
    if not message:  # we do not serve, or nobody wants us
        os._exit(0)
    os.close(ordered)
    kind, folder, count, *rest = message.split(b"\0")
    argv, lines = [os.fsdecode(each) for each in rest[: int(count)]], rest[int(count) :]
    try:
        os.chdir(folder)
        if kind == b"cold":
            os.execve(argv[0], argv, dict(line.split(b"=", 1) for line in lines))
        _change_environment(lines)
        script = None if argv[1] == "-m" else _compiled(argv)
    except OSError as error:
        os.write(saying, f"cannot start {argv[0]}: {error}".encode())
        os._exit(127)
    os.close(saying)
    _become(argv, script, in_front=in_front)


def _unfit() -> str:
    """Why this environment needs a new interpreter for each task; empty when it does not.

    Code of its own that runs in every start may look at what differs between tasks: arguments, folder, variables.
    """
    if sys.version_info < (3, 9):  # noqa: UP036 - the environment's Python, not ours
        return "its Python is older than 3.9"
    stdlib = os.path.dirname(os.__file__)
    for name in ("sitecustomize", "usercustomize"):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and os.path.dirname(path) != stdlib:  # one that lies there is the distribution's
            return f"{path} runs in every start"
    for folder in sys.path:
        for path in _path_files(folder):
            if os.path.basename(path) not in _HARMLESS and _runs_code(path):
                return f"{path} runs code in every start"
    with open("/proc/self/statm", "rb") as file:
        used = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return f"it takes {used >> 20} MiB before it has done anything" if used > _MOST_MEMORY else ""


def _path_files(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".pth")]
    except OSError:  # a zip file, or not there
        return []


def _runs_code(path: str) -> bool:
    with open(path, "rb") as file:
        return any(line.startswith((b"import ", b"import\t")) for line in file)


def _all_of(handle: int) -> bytes:
    whole = b""
    while True:
        part = os.read(handle, 1 << 16)
        if not part:
            return whole
        whole += part


def _change_environment(lines: list[bytes]) -> None:
    """Each line is `NAME=VALUE`, or `NAME` for one that must not be there."""
    for line in lines:
        name, equals, value = line.partition(b"=")
        if equals:
            os.environb[name] = value
        else:
            os.environb.pop(name, None)


def _compiled(argv: list[str]) -> tuple[str, CodeType]:
    """The script's path, which is absolute, and its code."""
    path = argv[1]
    try:
        with open(path, "rb") as file:
            return path, compile(file.read(), path, "exec", dont_inherit=True)
    except Exception:
        os.execv(argv[0], argv)  # Python has words of its own for what is missing or no Python


def _become(argv: list[str], script: tuple[str, CodeType] | None, *, in_front: bool) -> None:
    sys.orig_argv = argv
    ours = sys.modules["__main__"].__dict__
    theirs = type(sys)("__main__")
    theirs.__dict__.update(__builtins__=ours["__builtins__"], __annotations__={})
    sys.modules["__main__"] = theirs
    try:
        if script is None:
            sys.argv = ["-m", *argv[3:]]
            if in_front:
                sys.path.insert(0, os.getcwd())
            import runpy

            vars(runpy)["_run_module_as_main"](argv[2])  # what Python itself calls for `-m`
        else:
            path, code = script
            sys.argv = argv[1:]
            if in_front:
                sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
            theirs.__dict__.update(
                __file__=path, __cached__=None, __loader__=type(ours["__loader__"])("__main__", path)
            )
            exec(code, theirs.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _show_without_us(error)
        raise


def _show_without_us(error: BaseException) -> None:
    """Have the traceback that Python is about to print begin where the user's code does."""
    told, whole = sys.excepthook, error.__traceback__
    cut = None if whole is None else whole.tb_next

    def show(kind: type[BaseException], value: BaseException, _whole: object) -> None:
        sys.excepthook = told
        value.__traceback__ = sys.last_traceback = cut
        told(kind, value, cut)

    sys.excepthook = show


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
