"""Who may do what: every route of the desk and the API against every role, the neighbours' included.

The routes are the application's own, so one that is new and has no rule here fails the first test.
"""

from service.states import Role
from service.web import create_app

EVERYBODY, LOGGED_IN = "everybody", "logged in"
EDITOR, PUBLISHER, ADMIN = Role.EDITOR, Role.PUBLISHER, Role.ADMIN

RULES: dict[str, str] = {}
"""The least that a route asks for."""

ROOM = "/desk/{newsroom}"


def wanted(path: str) -> bool:
    """Tell whether a path is the staff's or a program's."""
    return path.startswith(("/desk", "/api/"))


def routes() -> set[str]:
    """Return the application's own routes as "METHOD path"."""
    found = create_app().state.known_routes
    return {f"{method} {route.path}" for route in found if wanted(route.path) for method in route.methods}
