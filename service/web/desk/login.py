"""To be written."""

from fastapi import APIRouter, FastAPI

router = APIRouter()


def install(app: FastAPI) -> None:
    """Register what answers LoggedOut and Unproven."""
