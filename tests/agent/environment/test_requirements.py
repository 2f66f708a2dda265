from __future__ import annotations

import pytest

from batuta_agent.environment.failure import PreparationFailed
from batuta_agent.environment.requirements import parse


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy==2.1.0",
        "numpy >= 1.26, < 3",
        "numpy (>=1.26)",
        "torch==2.4.0+cpu",
        "ruff===2024.1",
        "typing_extensions~=4.0",
        "requests[socks, security]==2.32.0",
        'pywin32==306; sys_platform == "win32"',
        "tomli; python_version < '3.11' and (os_name == 'posix' or extra == 'x')",
        "batuta @ https://host.example/batuta-0.1.0-py3-none-any.whl",
        "batuta[x] @ https://host.example/b.whl ; python_version >= '3.9'",
        "numpy==2.1.*",
    ],
)
def test_packages_versions_extras_markers_and_https_addresses_are_taken(line: str) -> None:
    assert [each.line for each in parse([line])] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "-e git+https://host.example/x",
        "--index-url https://evil.example",
        "-r other.txt",
        "numpy --index-url https://evil.example",
        "numpy; rm -rf /",
        "numpy==1.0 ; python_version < '3' ; rm",
        "./local",
        "/etc/passwd",
        "../x.whl",
        "x @ file:///etc/passwd",
        "x @ git+https://host.example/x",
        "x @ http://host.example/x.whl",
        "git+https://host.example/x",
        "numpy\n--index-url x",
        "numpy\x00",
        "$(id)",
        "numpy==`id`",
        "numpy>=1.0 --hash=sha256:0",
        "x" * 3000,
    ],
)
def test_s28_options_paths_and_anything_else_are_refused_and_named(line: str) -> None:
    with pytest.raises(PreparationFailed, match="requirement"):
        parse([line])


def test_lines_are_sorted_doubles_and_comments_left_out() -> None:
    found = parse(["zlib-ng==1  # why not", "", "# nothing", "Abc_Def==1", "zlib-ng==1"])
    assert [(each.name, each.line) for each in found] == [("abc-def", "Abc_Def==1"), ("zlib-ng", "zlib-ng==1")]
