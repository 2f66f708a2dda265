"""`ProjectService`."""

from __future__ import annotations

from batuta_api import pages
from batuta_api.calls import Calls, Context
from batuta_api.projects import convert, members, moving, naming
from batuta_api.projects.closed import access_of
from batuta_api.projects.convert import render
from batuta_api.projects.moving import Which
from batuta_api.work import Work
from batuta_chassis.caller import Caller
from batuta_proto.projects import v1 as projects
from batuta_rpc.clock import Clock
from batuta_rpc.ids import Ids

SERVICE = "batuta.projects.v1.ProjectService"


class ProjectServicer(projects.ProjectServiceServicer):
    """Projects: parse, call, render."""

    def __init__(self, calls: Calls, clock: Clock, ids: Ids) -> None:
        self._calls = calls
        self._clock = clock
        self._ids = ids

    async def CreateProject(
        self, request: projects.CreateProjectRequest, context: Context
    ) -> projects.CreateProjectResponse:
        """Make a project."""

        def make(work: Work, caller: Caller) -> projects.CreateProjectResponse:
            made = naming.create(work, caller, request.display_name, request.description, self._clock.now(), self._ids)
            return projects.CreateProjectResponse(project=render(made))

        return await self._calls.change("CreateProject", request, make)

    async def GetProject(self, request: projects.GetProjectRequest, context: Context) -> projects.GetProjectResponse:
        """One project."""
        found = await self._calls.ask("GetProject", lambda work, caller: naming.seen(work, caller, request.project_id))
        return projects.GetProjectResponse(project=render(found))

    async def ListProjects(
        self, request: projects.ListProjectsRequest, context: Context
    ) -> projects.ListProjectsResponse:
        """One page of projects by name."""
        place = pages.unseal(request.page_token, "projects", request.filter, 1)
        size = pages.size(request.page_size)
        names = (request.filter.display_name, request.filter.below, str(place[0]) if place else "")
        found = await self._calls.ask(
            "ListProjects", lambda work, caller: work.projects.page(*names, size + 1, access_of(work, caller).shown)
        )
        more = pages.seal("projects", request.filter, [found[size - 1].display_name]) if len(found) > size else ""
        return projects.ListProjectsResponse(projects=[render(each) for each in found[:size]], next_page_token=more)

    async def GetProjectStatistics(
        self, request: projects.GetProjectStatisticsRequest, context: Context
    ) -> projects.GetProjectStatisticsResponse:
        """What stands in a project."""
        found = await self._calls.ask(
            "GetProjectStatistics",
            lambda work, caller: moving.statistics(work, caller, request.project_id, request.include_subprojects),
        )
        return projects.GetProjectStatisticsResponse(statistics=convert.statistics(*found))

    async def UpdateProject(
        self, request: projects.UpdateProjectRequest, context: Context
    ) -> projects.UpdateProjectResponse:
        """Change, rename or move a project."""
        asked = request.project
        fields, which = convert.edit(asked, request.update_mask.paths), Which(asked.id, asked.etag)

        def update(work: Work, caller: Caller) -> projects.UpdateProjectResponse:
            changed = moving.change(work, caller, which, fields, self._clock.now(), self._ids)
            return projects.UpdateProjectResponse(project=render(changed))

        return await self._calls.change("UpdateProject", request, update)

    async def MergeProject(
        self, request: projects.MergeProjectRequest, context: Context
    ) -> projects.MergeProjectResponse:
        """Join two projects."""
        which = Which(request.project_id, request.etag)

        def merge(work: Work, caller: Caller) -> projects.MergeProjectResponse:
            kept = moving.merge(work, caller, which, request.into_project_id, self._clock.now())
            return projects.MergeProjectResponse(project=render(kept))

        return await self._calls.change("MergeProject", request, merge)

    async def DeleteProject(
        self, request: projects.DeleteProjectRequest, context: Context
    ) -> projects.DeleteProjectResponse:
        """Remove a project."""
        which = Which(request.project_id, request.etag)

        def remove(work: Work, caller: Caller) -> projects.DeleteProjectResponse:
            gone = moving.remove(work, caller, which, request.delete_tasks, request.force, self._clock.now())
            return projects.DeleteProjectResponse(deleted_task_count=gone.tasks, deleted_project_count=gone.projects)

        return await self._calls.change("DeleteProject", request, remove)

    async def GetProjectAccess(
        self, request: projects.GetProjectAccessRequest, context: Context
    ) -> projects.GetProjectAccessResponse:
        """Who gets into a project."""
        found = await self._calls.ask(
            "GetProjectAccess", lambda work, caller: members.get(work, caller, request.project_id)
        )
        return projects.GetProjectAccessResponse(access=convert.access(found))

    async def SetProjectAccess(
        self, request: projects.SetProjectAccessRequest, context: Context
    ) -> projects.SetProjectAccessResponse:
        """Close a project, or open it."""
        which, named = Which(request.project_id, request.etag), convert.members(request)

        def put(work: Work, caller: Caller) -> projects.SetProjectAccessResponse:
            now = members.put(work, caller, which, request.closed, named, self._clock.now())
            return projects.SetProjectAccessResponse(access=convert.access(now))

        return await self._calls.change("SetProjectAccess", request, put)
