"""Limits as settings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from batuta_chassis.limits import described, limit, limits_of, read_limits
from batuta_chassis.settings import Settings, SettingsError


@dataclass(frozen=True)
class Some:
    """Numbers of a service."""

    places: int = limit(4, "places")
    wait: float = limit(1.5, "seconds to wait", low=0)
    inner: int = 7

    def __post_init__(self) -> None:
        if self.places > 100:
            raise ValueError("too many places for this house")


def load(*argv: str, **environ: str) -> Settings:
    return Settings.load("queue", argv, environ, limits_help=described(limits_of(Some)))


def test_what_nobody_sets_has_its_default() -> None:
    assert read_limits(Some, load().limits) == Some()


def test_flags_win_over_the_environment() -> None:
    settings = load("--limit", "places=9", "--limit", "wait=0.25", BATUTA_QUEUE_LIMIT_PLACES="5")
    assert read_limits(Some, settings.limits) == Some(9, 0.25)
    assert read_limits(Some, load(BATUTA_QUEUE_LIMIT_PLACES="5").limits) == Some(5)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("rooms=3", "there is no limit 'rooms'; there are: places, wait"),
        ("inner=3", "there is no limit 'inner'"),
        ("places=0", "the limit places is a whole number from 1 on, not '0'"),
        ("places=1.5", "not '1.5'"),
        ("wait=nan", "the limit wait is a number from 0 on, not 'nan'"),
        ("wait=", "not ''"),
        ("places=101", "too many places"),
        ("places", "--limit takes NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_one_clear_error(argument: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_limits(Some, load("--limit", argument).limits)
    assert words in str(caught.value)


def test_the_help_lists_every_limit_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("--help")
    text = capsys.readouterr().out
    assert "places  places (4)" in text
    assert "wait    seconds to wait (1.5)" in text
    assert "inner" not in text
