"""The program as a whole: help, usage, plug-ins, its start and its ends."""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from batuta._cli import plugins, program
from batuta._cli.context import Context
from batuta._cli.failures import CliError
from batuta_rpc.testing import FakeClock, SeededIds
from batuta_rpc.version import VERSION


def make_context() -> Context:
    return Context({}, io.StringIO(), io.BytesIO(), io.StringIO(), FakeClock(), SeededIds())


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in actions(parser):
        if isinstance(action.choices, dict):
            children: dict[str, argparse.ArgumentParser] = action.choices
            for child in children.values():
                yield from parsers(child)


def actions(parser: Any) -> list[Any]:
    return list(parser._actions)


def test_every_command_explains_itself_with_an_example_that_parses() -> None:
    whole = program.build(make_context(), [], [])
    assert explained(whole) >= 15


@pytest.mark.parametrize(
    "words",
    [["up"], ["agent", "start"], ["admin", "backup"], ["admin", "health"], ["config", "show"]]
    + [["admin", verb] for verb in ("check", "gc", "migrate")],
)
def test_the_commands_of_the_extras_explain_themselves_too(words: list[str]) -> None:
    found = [plugin for plugin in plugins.installed() if list(plugin.path) == words]
    whole = program.build(make_context(), found, words)
    assert explained(whole) >= 16


def explained(whole: argparse.ArgumentParser) -> int:
    """How many examples there are; each has been parsed."""
    seen = 0
    for parser in parsers(whole):
        assert parser.description, parser.prog
        assert parser.epilog is not None, parser.prog
        assert "Example:\n" in parser.epilog, parser.prog
        for line in parser.epilog.partition("Example:\n")[2].splitlines():
            words = line.split("#")[0].split(" > ")[0].replace("'wrong data'", "wrong").split()
            assert words[0] == "batuta"
            if "COMMAND" not in words:
                assert whole.parse_args(words[1:]).run
                seen += 1
        for action in actions(parser):
            assert action.help or isinstance(action.choices, dict), (parser.prog, action.dest)
    return seen


def test_usage_errors_end_with_2(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["task"], ["nonsense"], ["task", "list", "--limit", "0"], ["task", "show"]):
        assert program(*argv).code == 2
    assert "usage: batuta" in capsys.readouterr().err


def test_the_version_is_printed(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert program("--version").code == 0
    assert capsys.readouterr().out == f"batuta {VERSION}\n"


def greet(args: argparse.Namespace) -> int:
    return 7 if args.loud else 0


def hello(subparsers: Any) -> None:
    parser = subparsers.add_parser("hello", help="say hello")
    parser.add_argument("--loud", action="store_true")
    parser.set_defaults(run=greet)


def test_a_plugin_hangs_its_command_under_its_words() -> None:
    found = [plugins.Plugin("agent.hello", lambda: hello), plugins.Plugin("moon.hello", lambda: hello)]
    for words in (["agent", "hello"], ["moon", "hello"]):
        args = program.build(make_context(), found, words).parse_args([*words, "--loud"])
        assert args.run(args) == 7


def test_a_broken_plugin_is_one_line_for_its_own_users_only() -> None:
    def broken() -> Any:
        raise RuntimeError("no luck")

    found = [plugins.Plugin("moon", broken)]
    assert program.build(make_context(), found, ["queue", "list"]).parse_args(["queue", "list"]).run
    with pytest.raises(CliError, match="batuta moon cannot be loaded \\(RuntimeError: no luck\\)"):
        program.build(make_context(), found, ["moon"])


@pytest.mark.parametrize(
    ("name", "words", "extra"), [("up", "batuta up", "server"), ("agent.start", "batuta agent start", "agent")]
)
def test_a_missing_extra_says_what_to_install(name: str, words: str, extra: str) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'x'", name="x")

    with pytest.raises(CliError) as caught:
        program.build(make_context(), [plugins.Plugin(name, missing)], name.split("."))
    assert caught.value.message == f"{words} needs the {extra}: pip install 'batuta[{extra}]' (missing: x)"


def started(*argv: str, **more: Any) -> subprocess.Popen[Any]:
    return subprocess.Popen([sys.executable, "-m", "batuta", *argv], **more)


def logged_in(server: Any, folder: Any) -> dict[str, str]:
    login = {"BATUTA_API": server.api, "BATUTA_ACCESS_KEY": "KEY", "BATUTA_SECRET_KEY": "s3cret%"}
    return {**os.environ, **login, "BATUTA_CONFIG_FILE": str(folder / "none")}


def test_help_loads_neither_grpc_nor_a_plugin() -> None:
    code = (
        "import sys\nfrom batuta._cli.main import main\nmain(['--help'])\n"
        "names = ('grpc', 'google.protobuf', 'batuta_chassis.command', 'batuta_agent.command')\n"
        "bad = [name for name in names if name in sys.modules]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "init" in done.stdout


def test_a_closed_pipe_ends_quietly(server: Any, tmp_path: Any) -> None:
    read, write = os.pipe()
    os.close(read)
    process = started("queue", "list", stdout=write, stderr=subprocess.PIPE, env=logged_in(server, tmp_path))
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_an_output_that_cannot_be_written_is_one_line(server: Any, tmp_path: Any) -> None:
    with open("/dev/full", "wb") as full:
        process = started("queue", "list", stdout=full, stderr=subprocess.PIPE, env=logged_in(server, tmp_path))
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"batuta: No space left on device.\n")


def test_streams_that_the_caller_has_closed_do_no_harm() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m batuta --version <&- >&-', sys.executable],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_argument_that_is_not_text_is_one_line(batuta: Any) -> None:
    done = batuta("queue", "create", os.fsdecode(b"\xff"))
    assert (done.code, done.err) == (1, "batuta: an argument is not UTF-8 text.\n")


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    program = (
        "import sys\nfrom batuta._cli import login, main\n"
        "def wait(context, args):\n    sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()\n"
        "login.init = wait\nsys.exit(main.main(['init']))"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program], **pipes)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"x"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
