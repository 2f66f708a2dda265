"""Members of closed projects in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, insert, select

from batuta_api.projects.model import Member
from batuta_api.projects.tables import project_members, projects
from batuta_chassis.prepared import Prepared

_ROLES = Prepared(
    select(projects.c.display_name, project_members.c.role)
    .select_from(
        projects.outerjoin(
            project_members,
            and_(project_members.c.project_id == projects.c.id, project_members.c.user_name == bindparam("who")),
        )
    )
    .where(projects.c.closed.is_(True))
)


class SqlMemberStore:
    """`MemberStore` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def roles(self, user_name: str) -> dict[str, str]:
        """The role of a user in every closed project by its full name; empty where it has none."""
        return {str(name): str(role or "") for name, role in _ROLES.rows(self._connection, {"who": user_name})}

    def of(self, project_id: str) -> list[Member]:
        """The members of a project, by name."""
        columns = project_members.c
        query = select(columns.user_name, columns.role).where(columns.project_id == project_id)
        rows = self._connection.execute(query.order_by(columns.user_name))
        return [Member(str(name), str(role)) for name, role in rows]

    def put(self, project_id: str, members: Sequence[Member]) -> None:
        """Keep these as the members of a project, and nobody else."""
        self._connection.execute(delete(project_members).where(project_members.c.project_id == project_id))
        if members:
            rows = [{"project_id": project_id, "user_name": each.user_name, "role": each.role} for each in members]
            self._connection.execute(insert(project_members), rows)
