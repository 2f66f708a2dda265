"""Systemd units as tests read them."""

from __future__ import annotations

import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "systemd"
NAMES = sorted(path.name for path in FOLDER.glob("*.service"))


class Unit:
    """One unit file: sections of keys, each with all its values in order."""

    def __init__(self, path: Path) -> None:
        self.sections: dict[str, dict[str, list[str]]] = {}
        section: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            text = line.strip()
            if not text or text[0] in "#;":
                continue
            if text[0] == "[" and text[-1] == "]":
                section = self.sections.setdefault(text[1:-1], {})
                continue
            key, equals, value = text.partition("=")
            assert equals, f"{path}: {text}"
            section.setdefault(key, []).append(value)

    def one(self, key: str) -> str:
        """The last value of a key of [Service]; empty where there is none."""
        return self.sections["Service"].get(key, [""])[-1]

    @property
    def environment(self) -> dict[str, str]:
        """What `Environment=` sets."""
        words = [word for line in self.sections["Service"].get("Environment", []) for word in shlex.split(line)]
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    def command(self, environment: dict[str, str]) -> list[str]:
        """`ExecStart` as systemd makes it: `$NAME` alone is split into words, an empty one is no word."""
        words: list[str] = []
        for word in shlex.split(self.one("ExecStart")):
            words += shlex.split(environment[word[1:]]) if word.startswith("$") else [word]
        return words


def examples(name: str) -> dict[str, str]:
    """The variables of an example of an environment file, those that are commented out too."""
    found: dict[str, str] = {}
    for line in (FOLDER / name).read_text().splitlines():
        variable, equals, value = line.lstrip("#").partition("=")
        if equals and variable.isupper() and " " not in variable:
            found[variable] = value
    return found
