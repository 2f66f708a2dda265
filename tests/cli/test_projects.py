"""`batuta project …` against a server."""

from __future__ import annotations

from typing import Any

from batuta_proto.projects import v1 as projects


def test_a_project_is_made_listed_and_shown_with_its_counts(batuta: Any, server: Any) -> None:
    assert batuta("project", "create", "a/b", "--description", "text").text == "Project 'a/b' is made (p1).\n"
    assert batuta("project", "list").text.splitlines()[1].split()[:3] == ["a/b", "p1", "text"]
    text = " ".join(batuta("project", "show", "a/b").text.split())
    assert "tasks 3 draft 2 completed 1 archived of them 1" in text


def test_an_unknown_project_is_told_with_what_to_do(batuta: Any) -> None:
    done = batuta("project", "show", "nothing")
    assert (done.code, done.err) == (1, "batuta: there is no project 'nothing'; `batuta project list` shows them.\n")


def test_changes_name_the_version_that_was_read(batuta: Any, server: Any) -> None:
    for name in ("a", "b"):
        server.state.projects.append(projects.Project(id=f"id-{name}", etag="3", display_name=name))
    assert batuta("project", "move", "a", "x/y").text == "Project 'x/y' is changed.\n"
    assert batuta("project", "edit", "a", "--output-uri", "s3://b").code == 0
    assert batuta("project", "merge", "a", "b").text == "All of 'a' stands in 'b' now.\n"
    moved, edited, merged = server.state.asked
    assert (moved.project.id, moved.project.etag, moved.update_mask.paths) == ("id-a", "3", ["display_name"])
    assert (edited.project.default_output_uri, edited.update_mask.paths) == ("s3://b", ["default_output_uri"])
    assert (merged.project_id, merged.into_project_id, merged.etag) == ("id-a", "id-b", "3")
    assert batuta("project", "edit", "a").code == 2


def test_a_project_with_tasks_goes_only_when_that_is_said(batuta: Any, server: Any) -> None:
    server.state.projects.append(projects.Project(id="id-a", display_name="a"))
    refused = batuta("project", "delete", "a")
    assert (refused.code, "3 tasks stand in project" in refused.err) == (1, True)
    done = batuta("project", "delete", "a", "--delete-tasks")
    assert done.text == "Project 'a' is gone: 1 projects, 3 tasks deleted.\n"


def test_a_project_is_closed_changed_and_opened_again(batuta: Any, server: Any) -> None:
    server.state.projects.append(projects.Project(id="id-a", etag="3", display_name="a"))
    assert batuta("project", "access", "a").text == "Project 'a' is open: everybody gets in, by their own role.\n"
    assert batuta("project", "access", "a", "--add", "ada=admin").err.startswith("batuta: the project is open; --close")
    text = batuta("project", "access", "a", "--close", "--add", "ada=admin", "--add", "bob=viewer").text
    assert [line.split() for line in text.splitlines()[-2:]] == [["ada", "admin"], ["bob", "viewer"]]
    assert (server.state.asked[-1].project_id, server.state.asked[-1].etag) == ("id-a", "3")
    batuta("project", "access", "a", "--remove", "bob", "--add", "ada=member")
    assert [(each.user_name, each.role) for each in server.state.asked[-1].members] == [("ada", 2)]
    assert batuta("project", "access", "a", "--remove", "bob").err == "batuta: 'bob' is no member of it.\n"
    assert batuta("project", "access", "a", "--add", "ada=owner").code == 2
    batuta("project", "access", "a", "--open")
    assert (server.state.asked[-1].closed, list(server.state.asked[-1].members)) == (False, [])
    server.state.access = projects.ProjectAccess(closed_above="z")
    assert "'z' above it is closed" in batuta("project", "access", "a").text
