"""The settings form: whatever a newsroom's file may say goes through it and comes out unchanged."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from sqlalchemy import select

from service import database, newsrooms
from service.models import Audit
from service.newsrooms import NewsroomFile
from tests import any_newsroom
from tests.web.conftest import WHEN, newsroom_of
from tests.web.desk.conftest import Person
from tests.web.desk.filled import form

SETTINGS = "/desk/norrvik/settings"


def kept() -> dict[str, Any]:
    with database.reading() as session:
        return newsrooms.fields(newsroom_of(session, "norrvik"))


def changed() -> list[str]:
    """Return what the last save changed, as the log says."""
    saves = select(Audit).where(Audit.act == "newsroom.save").order_by(Audit.id.desc()).limit(1)
    with database.reading() as session:
        found: list[str] = session.scalars(saves).one().details["changed"]
    return found


def test_any_newsroom_saved_unchanged_is_unchanged(person: Callable[..., Person]) -> None:
    admin = person()

    @given(any_newsroom.fields)
    @limits(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def unchanged(fields: dict[str, Any]) -> None:
        file = NewsroomFile.model_validate(fields | {"slug": "norrvik"})
        with database.transaction() as session:
            newsrooms.load(session, file, WHEN)
        before = kept()
        answer = admin.client.post(SETTINGS, data=form(admin, SETTINGS))
        assert answer.headers.get("Location") == f"{SETTINGS}?note=saved", answer.status_code
        assert changed() == []
        assert kept() == before

    unchanged()
