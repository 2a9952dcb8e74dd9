"""What the OpenAPI document cannot say: which of the strings of a format are good ones."""

from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

PEOPLE = st.from_regex(r"\A[a-z][a-z0-9._-]{0,20}[a-z0-9]\Z").filter(lambda name: ".." not in name)
schemathesis.openapi.format("email", PEOPLE.map(lambda name: f"{name}@example.org"))
schemathesis.openapi.format("moment", st.datetimes().map(lambda moment: f"{moment.replace(year=2999):%Y-%m-%dT%H:%MZ}"))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Give each good request an Idempotency-Key of its own: used again with another body, it is rightly refused."""
    if case.meta and case.meta.generation.mode.is_positive and "idempotency-key" in (case.headers or {}):
        case.headers["idempotency-key"] = uuid4().hex
