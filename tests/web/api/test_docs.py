"""docs/api.md says what is so: its requests are taken, its answers have these fields, its problems are all."""

import json
import re
from collections.abc import Callable
from typing import Any

from service.settings import ROOT
from service.web.api.problem import KINDS
from tests.web.api.conftest import Program
from tests.web.api.test_releases import ROOM

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
RELEASE, PUBLISHED, FOLLOW, PROBLEM = (json.loads(one) for one in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


def test_its_requests_are_taken(program: Callable[..., Program]) -> None:
    cms = program()
    made = cms.post(ROOM, RELEASE, Idempotency_Key="article-4711")
    assert (made.status_code, made.json()["state"]) == (201, "published")
    again = cms.post(f"/releases/{made.json()['id']}/publish")
    assert (again.status_code, again.json().keys()) == (202, PUBLISHED.keys())
    assert cms.post("/newsrooms/norrvik/subscriptions", FOLLOW).status_code == 202


def test_its_problem_is_what_comes(program: Callable[..., Program]) -> None:
    told: Any = program().post(ROOM, RELEASE | {"headline": "x" * 301}).json()
    assert told | {"type": PROBLEM["type"]} == PROBLEM
    assert told["type"].endswith("/api/v1/problems#invalid")


def test_its_problems_are_all() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert listed == [(name, str(kind.status), f"{kind.title}. {kind.help}") for name, kind in KINDS.items()]
