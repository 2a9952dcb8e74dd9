"""Work and text that log-ins bring along: argon2 only where it is needed, and forms that hold no text."""

import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import rows
from tests.web.desk.conftest import PASSWORD, Person, hire

WATCHED = """
import sys
hashes = 0
def look(frame, kind, _):
    global hashes
    hashes += kind == "call" and frame.f_code.co_name == "hash" and "argon2" in frame.f_code.co_filename
sys.setprofile(look)
from service import staff
print(hashes)
print([staff.matches(None, "x") for _ in range(2)], hashes)
"""


def test_no_process_hashes_before_somebody_logs_in() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["0", "[False, False] 1"]


@pytest.mark.parametrize("where", ["name", "value"])
def test_a_form_whose_charset_yields_no_text_counts_as_an_empty_one(site: TestClient, where: str) -> None:
    hire("known@example.org")
    fields = {"csrf": Person(site, "").csrf("/desk/login"), "address": "known@example.org", "password": PASSWORD}
    fields |= {"\\ud800": "x"} if where == "name" else {"address": "\\ud800"}
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = "".join(part.format(name, value) for name, value in fields.items()) + "--x--\r\n"
    before = rows()
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    answer = site.post("/desk/login", content=body.encode(), headers=kind)
    assert answer.status_code == 403
    assert rows() == before
