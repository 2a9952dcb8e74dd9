"""The desk: the staff's part of the site."""

from fastapi import APIRouter, FastAPI

from service.web.desk import account, books, drafting, home, login, password, people, preview, room, sending

# A path belongs to the first that takes it: the desk's own names go before the newsrooms'.
routers: list[APIRouter] = [
    part.router for part in (login, password, account, home, people, drafting, preview, sending, books, room)
]


def install(app: FastAPI) -> None:
    """Make the app answer those who are logged out, or whose form is of an earlier log-in."""
    login.install(app)
