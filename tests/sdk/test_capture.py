from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batuta._capture import git, packages
from batuta._capture.entry import Entry, find_imports
from batuta._capture.script import Code

CAPTURE = """
import json, sys
from batuta._capture.script import capture
print("CODE", json.dumps(capture("0.1.0")._asdict()))
"""


def sh(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def own_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose settings would break a naive diff."""
    config = tmp_path / "gitconfig"
    config.write_text(
        "[user]\n name = A\n email = a@example.org\n[init]\n defaultBranch = main\n"
        "[diff]\n noprefix = true\n external = false\n[color]\n ui = always\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A clone with one pushed commit: train.py, which imports helper.py."""
    remote, folder = tmp_path / "remote.git", tmp_path / "repo"
    sh(tmp_path, "git", "init", "-q", "--bare", str(remote))
    sh(tmp_path, "git", "clone", "-q", str(remote), str(folder))
    (folder / "train.py").write_text("import helper\n" + CAPTURE)
    (folder / "helper.py").write_text("value = 1\n")
    sh(folder, "git", "add", ".")
    sh(folder, "git", "commit", "-qm", "one")
    sh(folder, "git", "push", "-q", "origin", "HEAD:main")
    # As if it had been cloned over the network; what was fetched stays.
    sh(folder, "git", "remote", "set-url", "origin", "https://user:secret@example.org/team/digits.git")
    return folder


def capture(folder: Path, *command: str) -> Code:
    import json

    out = sh(folder, sys.executable, *(command or ("train.py",)))
    line = next(line for line in out.splitlines() if line.startswith("CODE "))
    found: Any = json.loads(line[5:])
    found["requirements"], found["warnings"] = tuple(found["requirements"]), tuple(found["warnings"])
    return Code(**found)


def rebuilt(repo: Path, code: Code, tmp_path: Path) -> Path:
    """What an agent makes of it: the commit from the remote, and the diff on top."""
    work = tmp_path / "rebuilt"
    sh(tmp_path, "git", "clone", "-q", str(tmp_path / "remote.git"), str(work))
    sh(work, "git", "checkout", "-q", code.commit)
    if code.diff:
        (tmp_path / "diff").write_text(code.diff, newline="")
        sh(work, "git", "apply", "--binary", str(tmp_path / "diff"))
    return work


def test_a_clean_repository_is_url_branch_and_commit(repo: Path) -> None:
    code = capture(repo)
    assert code.repository_url == "https://example.org/team/digits.git"
    assert code.branch == "main"
    assert code.commit == sh(repo, "git", "rev-parse", "HEAD").strip()
    assert (code.diff, code.script, code.problem, code.warnings) == ("", "", "", ())
    assert (code.entry_point, code.working_directory) == ("train.py", "")
    assert (code.project, code.name) == ("digits", "train")


def test_changes_of_every_kind_are_in_the_diff_and_apply(repo: Path, tmp_path: Path) -> None:
    (repo / "helper.py").write_text("value = 2\nname = 'naïve ß'\n")
    (repo / "latin.txt").write_bytes("r\xe9sum\xe9\n".encode("latin-1"))
    (repo / "picture.bin").write_bytes(bytes(range(256)) * 4)
    (repo / "crlf.txt").write_bytes(b"a\r\nb\r\n")
    (repo / "gone.txt").write_text("x\n")
    (repo / "with space.txt").write_text("x\n")
    sh(repo, "git", "add", ".")
    sh(repo, "git", "commit", "-qm", "not pushed")
    (repo / "gone.txt").unlink()
    (repo / "staged.py").write_text("staged = True\n")
    sh(repo, "git", "add", "staged.py")
    (repo / "new_module.py").write_text("untracked = True\n")
    (repo / "notes.txt").write_text("untracked, and nothing imports it\n")
    (repo / "train.py").write_text("import helper, new_module\n" + CAPTURE)
    code = capture(repo)
    assert code.commit == sh(repo, "git", "rev-parse", "HEAD~1").strip()
    work = rebuilt(repo, code, tmp_path)
    for name in ("helper.py", "latin.txt", "picture.bin", "crlf.txt", "with space.txt", "staged.py", "new_module.py",
                 "train.py"):  # fmt: skip
        assert (work / name).read_bytes() == (repo / name).read_bytes(), name
    assert not (work / "gone.txt").exists()
    assert not (work / "notes.txt").exists()


def test_a_script_that_git_does_not_know_yet_goes_along(repo: Path, tmp_path: Path) -> None:
    (repo / "sub").mkdir()
    (repo / "sub" / "fresh.py").write_text(CAPTURE)
    code = capture(repo / "sub", "fresh.py")
    assert (code.entry_point, code.working_directory) == ("sub/fresh.py", "sub")
    assert (rebuilt(repo, code, tmp_path) / "sub" / "fresh.py").read_text() == CAPTURE


def test_a_module_is_named_as_it_was_started(repo: Path) -> None:
    (repo / "pkg").mkdir()
    (repo / "pkg" / "__init__.py").write_text("")
    (repo / "pkg" / "go.py").write_text("from . import other\n" + CAPTURE)
    (repo / "pkg" / "other.py").write_text("")
    code = capture(repo, "-m", "pkg.go")
    assert code.entry_point == "-m pkg.go"
    assert "b/pkg/other.py" in code.diff
    assert "b/pkg/__init__.py" in code.diff


@pytest.mark.parametrize("runner", ["cProfile", "trace", "pdb"])
def test_a_script_under_a_profiler_is_itself(repo: Path, runner: str) -> None:
    options = {"cProfile": [], "trace": ["--trackcalls"], "pdb": ["-c", "continue", "-c", "quit"]}[runner]
    code = capture(repo, "-m", runner, *options, "train.py")
    assert code.entry_point == "train.py"


def test_without_a_remote_that_others_can_reach_the_whole_script_is_stored_with_a_warning(repo: Path) -> None:
    sh(repo, "git", "remote", "set-url", "origin", str(repo.parent / "remote.git"))
    code = capture(repo)
    assert code.repository_url == ""
    assert code.script == (repo / "train.py").read_text()
    assert code.entry_point == "train.py"
    assert "helper.py" in code.warnings[0]


def test_without_git_the_whole_script_is_stored(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "train.py").write_text(CAPTURE)
    code = capture(folder)
    assert (code.script, code.entry_point, code.warnings, code.problem) == (CAPTURE, "train.py", (), "")
    assert (code.project, code.name) == ("plain", "train")


def test_a_program_without_a_file_cannot_go_to_an_agent(tmp_path: Path) -> None:
    assert "no script file" in capture(tmp_path, "-c", CAPTURE).problem


def test_a_diff_that_is_too_large_is_a_problem_that_says_what_to_do(repo: Path) -> None:
    (repo / "data.txt").write_text("".join(f"{at * 7919}\n" for at in range(1_200_000)))
    sh(repo, "git", "add", "data.txt")
    problem = capture(repo).problem
    assert "more than 8: push some of them first" in problem


def test_a_repository_with_submodules_or_no_commit_does_not_break_capture(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    sh(folder, "git", "init", "-q")
    (folder / "train.py").write_text(CAPTURE)
    assert capture(folder).script == CAPTURE


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("https://user:token@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://token@github.com/a/b", "https://github.com/a/b"),
        ("http://host:8080/a.git", "http://host:8080/a.git"),
        ("ssh://git:pw@host:22/a.git", "ssh://git@host:22/a.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("/srv/git/a.git", ""),
        ("../a.git", ""),
        ("file:///srv/a.git", ""),
        ("ext::sh -c id", ""),
        ("git://host/a.git", ""),
    ],
)
def test_urls_lose_their_credentials_and_local_ones_are_none(given: str, clean: str) -> None:
    assert git.clean_url(given) == clean


def test_packages_are_found_behind_their_import_names() -> None:
    found = packages.requirements_of({"sklearn", "grpc", "google", "pytest", "no_such_module", "batuta"}, "9.9")
    names = [line.partition("==")[0] for line in found.requirements]
    assert "scikit-learn" in names
    assert "grpcio" in names
    assert "pytest" in names
    assert "batuta==9.9" in found.requirements
    assert "no_such_module" not in names
    assert all(" " not in line and "+" not in line for line in found.requirements)


def test_imports_are_followed_through_the_users_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pkg" / "deep").mkdir(parents=True)
    files = {
        "train.py": "import os, json\nfrom pkg import first\nfrom pkg.deep.leaf import x\ndef f():\n    import torch\n",
        "pkg/__init__.py": "import numpy as np\n",
        "pkg/first.py": "from .second import y\nfrom . import third\nfrom ..outside import z\n",
        "pkg/second.py": "import pandas.core\n",
        "pkg/third.py": "this is not python\n",
        "pkg/deep/__init__.py": "",
        "pkg/deep/leaf.py": "from PIL import Image\n",
        "other.py": "import not_imported_by_anybody\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = find_imports(Entry(tmp_path / "train.py"))
    assert found.names == {"torch", "numpy", "pandas", "PIL", "outside"} or found.names == {
        "torch", "numpy", "pandas", "PIL",
    }  # fmt: skip
    assert {path.relative_to(tmp_path).as_posix() for path in found.files} == set(files) - {"other.py"}
