"""Command lines as parameters: `ArgumentParser.parse_args` is watched from `import batuta` on.

Locally what was parsed becomes the section Args, whether Task.init comes before or after. Under an agent the command
line is empty: each argument gets the task's value as its default, and is required no more, before the parser does its
work.
"""

# argparse shows its arguments by private names only; they have not changed since Python 2.7.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from batuta import _values
from batuta._parameters import ARGUMENTS, Key, Parameters
from batuta._values import CastError, Parameter

_parse = argparse.ArgumentParser.parse_known_args
_depth = threading.local()


class Watch:
    """What the hook knows: what was parsed last, and who wants to hear of it."""

    def __init__(self) -> None:
        self.last: dict[Key, Parameter] | None = None
        self.on_parsed: Callable[[dict[Key, Parameter]], None] | None = None
        self.remote: Callable[[], Parameters | None] | None = None
        """Gives the task's parameters when this process runs under an agent."""

    def install(self) -> None:
        """Patch argparse, once."""
        if argparse.ArgumentParser.parse_known_args is _parse:
            argparse.ArgumentParser.parse_known_args = _parse_known_args  # type: ignore[assignment,method-assign]

    def parsed(self, found: dict[Key, Parameter]) -> None:
        """Remember, and tell whoever wants to know."""
        self.last = found
        if self.on_parsed is not None:
            self.on_parsed(found)


watch = Watch()


def _parse_known_args(
    self: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: Any = None, **rest: Any
) -> Any:
    """What argparse calls in place of its own."""
    if getattr(_depth, "inside", False):  # a sub-parser, or a parser that calls itself
        return cast("Any", _parse)(self, args, namespace, **rest)
    _depth.inside = True
    try:
        parameters = watch.remote() if watch.remote is not None else None
        if parameters is not None:
            args = prepare(self, args, parameters)
        result = cast("Any", _parse)(self, args, namespace, **rest)
    finally:
        _depth.inside = False
    with contextlib.suppress(Exception):  # parsers of others, with namespaces of their own making, are none of ours
        watch.parsed(describe(self, result[0]))
    return result


def describe(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> dict[Key, Parameter]:
    """The parsed arguments as parameters of the section Args."""
    values: dict[str, Any] = {**vars(parsed)}
    found: dict[Key, Parameter] = {}
    for action in actions_of(parser, values):
        if action.dest in values:
            text = action.help if isinstance(action.help, str) and action.help is not argparse.SUPPRESS else ""
            found[ARGUMENTS, action.dest] = _encode(values[action.dest], text)
    return found


def actions_of(parser: argparse.ArgumentParser, values: dict[str, Any]) -> Iterable[argparse.Action]:
    """The parser's arguments, and those of the sub-parsers that `values` chooses. Not --help and --version."""
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
            continue
        if isinstance(action, argparse._SubParsersAction):
            if action.dest is not argparse.SUPPRESS:
                yield action
            chosen = cast("dict[str, argparse.ArgumentParser]", action.choices).get(str(values.get(action.dest)))
            if chosen is not None:
                yield from actions_of(chosen, values)
        elif action.dest is not argparse.SUPPRESS:
            yield action


def prepare(parser: argparse.ArgumentParser, args: Sequence[str] | None, parameters: Parameters) -> Sequence[str]:
    """Give the parser the task's values as defaults. Returns the command line to parse. Raises ValueError."""
    stored = {name: each for (section, name), each in parameters.snapshot().items() if section == ARGUMENTS}
    commands: list[str] = []
    for action in actions_of(parser, {name: each.text for name, each in stored.items()}):
        value = stored.get(action.dest)
        if value is None:
            continue
        for group in parser._mutually_exclusive_groups:
            group.required = False
        if isinstance(action, argparse._SubParsersAction):
            if value.text in cast("Any", action.choices):
                commands.append(value.text)
                action.required = False
            continue
        _set_default(action, value)
    given = list(sys.argv[1:] if args is None else args)
    return given + commands if not any(command in given for command in commands) else given


def _set_default(action: argparse.Action, value: Parameter) -> None:
    try:
        action.default = _read(action, value)
    except (CastError, ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"parameter {ARGUMENTS}/{action.dest} of the task: {error}") from None
    action.required = False
    if not action.option_strings and action.nargs is None:
        action.nargs = argparse.OPTIONAL
    elif not action.option_strings and action.nargs not in (argparse.OPTIONAL, argparse.ZERO_OR_MORE):
        action.nargs = argparse.ZERO_OR_MORE


def _read(action: argparse.Action, value: Parameter) -> Any:
    if value.type == _values.NONE and not value.text:
        return None
    if action.nargs == 0:  # flags: store_true, store_const, count
        if isinstance(action.default, bool) or isinstance(getattr(action, "const", None), bool):
            return _values.boolean(value.text)
        return _values.decode(value)
    if type(action).__name__ == "BooleanOptionalAction":
        return _values.boolean(value.text)
    convert: Callable[[Any], Any] = action.type if callable(action.type) else _same
    many = action.nargs in ("+", "*") or isinstance(action.nargs, int) or isinstance(action, argparse._AppendAction)
    if many:
        found = _values.cast(value.text, [])
        return None if found is None else [convert(str(each)) if convert is not _same else each for each in found]
    if convert is _same and isinstance(action.default, bool):
        return _values.boolean(value.text)
    return convert(value.text)


def _same(value: Any) -> Any:
    return value


def _encode(value: Any, description: str) -> Parameter:
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return _values.encode(value, description)
    name = getattr(value, "name", None)  # an open file, as argparse.FileType gives it
    return _values.encode(name if isinstance(name, str) else value, description)
