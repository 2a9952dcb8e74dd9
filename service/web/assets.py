"""Static files, read once, under an address that changes with their content."""

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse, Response

FOLDER = Path(__file__).with_name("static")
FOR_EVER = "public, max-age=31536000, immutable"
A_DAY = "public, max-age=86400"
ROBOTS = "User-agent: *\nDisallow: /confirm/\nDisallow: /unsubscribe/\n"

mimetypes.add_type("font/woff2", ".woff2")
router = APIRouter()


@lru_cache
def files() -> dict[str, bytes]:
    """Return every static file by its name; nothing else can be asked for."""
    found = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in found}


@lru_cache
def version() -> str:
    """Return a short hash of all static files together (the style sheet names the fonts beside it)."""
    whole = hashlib.sha256()
    for name, content in files().items():
        whole.update(name.encode() + b"\0" + content)
    return whole.hexdigest()[:12]


def address(name: str) -> str:
    """Return the path of a static file."""
    return f"/static/{version()}/{name}"


@router.get("/static/{edition}/{name:path}")
def static(edition: str, name: str) -> Response:
    """Answer with a static file; one of an older edition as it is now, but not to be kept."""
    if name not in files():
        raise HTTPException(404)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    keep = FOR_EVER if edition == version() else "no-cache"
    return Response(files()[name], media_type=kind, headers={"Cache-Control": keep})


@router.get("/favicon.ico")
def favicon() -> Response:
    """Answer with the icon, for browsers that ask without being told."""
    return Response(files()["icon.svg"], media_type="image/svg+xml", headers={"Cache-Control": A_DAY})


@router.get("/robots.txt")
def robots() -> PlainTextResponse:
    """Tell crawlers to leave the token pages alone."""
    return PlainTextResponse(ROBOTS, headers={"Cache-Control": A_DAY})
