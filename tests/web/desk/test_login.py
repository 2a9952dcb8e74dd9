"""Logging in and out, passwords by one-time link, and forms whose log-in is over."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service import address, database, newsrooms, settings, staff, tokens
from service.models import Audit, Login, Staff
from service.states import Role
from service.web import create_app
from tests.web.conftest import configure, rows
from tests.web.desk.conftest import PASSWORD, Person, hire


def browser() -> TestClient:
    return TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)


def acts() -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Audit.act).order_by(Audit.id)))


def invited(email: str = "nils@example.org") -> str:
    with database.transaction() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        return staff.add(session, address.parse(email), "Nils Ek", room, Role.EDITOR, database.now(session)).token


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, name
    return unescape(found[1])


def test_logging_in_leads_to_the_newsroom_and_is_written_down(person: Callable[..., Person]) -> None:
    someone = person("publisher")
    home = someone.get("/desk")
    assert home.headers["Location"] == "/desk/norrvik"
    assert someone.get("/desk/norrvik").status_code == 200
    assert acts()[-1] == "login"


def test_whoever_is_not_logged_in_is_asked_to_and_led_on(site: TestClient, person: Callable[..., Person]) -> None:
    answer = site.get("/desk/norrvik?page=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/desk/login?next=/desk/norrvik?page=1")
    for path in ("/desk/norrvik?page=2&note=saved", "/desk/norrvik/log?before=%31&page=1%262"):
        asked = site.get(site.get(path).headers["Location"]).text
        assert hidden(asked, "next") == path
    someone = Person(site, "ny@example.org")
    hire("ny@example.org")
    page = site.get("/desk/login?next=/desk/norrvik/releases/new").text
    fields = {"csrf": hidden(page, "csrf"), "address": "NY@example.org", "password": PASSWORD}
    done = site.post("/desk/login", data={**fields, "next": hidden(page, "next")})
    assert done.headers["Location"] == "/desk/norrvik/releases/new"
    assert someone.get("/desk/norrvik/releases/new").status_code == 200


@pytest.mark.parametrize(
    "onward",
    [
        "https://evil.example",
        "//evil.example",
        "/desk/../confirm",
        "/desk\\evil",
        "/deskevil",
        "/desk//evil.example",
        "",
    ],
)
def test_a_login_leads_nowhere_else(site: TestClient, onward: str) -> None:
    hire("ny@example.org")
    page = site.get("/desk/login", params={"next": onward}).text
    fields = {"csrf": hidden(page, "csrf"), "address": "ny@example.org", "password": PASSWORD, "next": onward}
    done = site.post("/desk/login", data=fields)
    assert done.headers["Location"] == "/desk"


def test_unknown_names_and_wrong_passwords_get_the_same_answer(site: TestClient) -> None:
    hire("known@example.org")
    invited("invited@example.org")

    def answer(email: str, password: str) -> tuple[int, str]:
        proof = Person(browser(), email)
        said = proof.log_in(password)
        assert "Set-Cookie" not in said.headers or "utskick_desk" not in said.headers["Set-Cookie"]
        return said.status_code, re.sub(r'value="[^"]*"', "", said.text)

    wrong = answer("known@example.org", "not the password")
    assert wrong == answer("nobody@example.org", PASSWORD) == answer("invited@example.org", "")
    assert wrong == answer("not an address", PASSWORD) == answer("", "") == answer("\x00", "\x00")
    assert wrong[0] == 401


def test_the_address_is_shown_again_and_the_password_is_not(site: TestClient) -> None:
    said = Person(site, "<b>known@example.org").log_in("not the password at all").text
    assert "&lt;b&gt;known@example.org" in said
    assert "not the password at all" not in said


def test_guessing_is_slowed_down(site: TestClient) -> None:
    hire("known@example.org")
    guesser = Person(site, "known@example.org")
    for _ in range(10):
        assert guesser.log_in("wrong").status_code == 401
    stopped = guesser.log_in()
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) > 0


def test_cookies_are_for_the_desk_alone_and_out_of_reach_of_scripts(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = person()
    given = someone.log_in().headers["Set-Cookie"]
    for flag in ("HttpOnly", "Path=/desk", "SameSite=lax"):
        assert flag in given
    assert "Secure" not in given
    assert "Set-Cookie" not in someone.get("/norrvik").headers
    configure(monkeypatch, BASE_URL="https://press.example.org", SMTP_URL="smtp://127.0.0.1:1")
    safe = TestClient(create_app(), base_url="https://press.example.org", follow_redirects=False)
    other = Person(safe, someone.email)
    given = other.log_in().headers["Set-Cookie"]
    assert "__Secure-utskick_desk=" in given
    assert "; Secure" in given
    assert other.get("/desk/norrvik").status_code == 200


def test_after_logging_out_a_stolen_cookie_opens_nothing(person: Callable[..., Person]) -> None:
    someone = person()
    stolen = dict(someone.client.cookies)
    assert someone.post("/desk/logout").headers["Location"] == "/desk/login?note=logged-out"
    thief = browser()
    thief.cookies.update(stolen)
    assert thief.get("/desk/norrvik").status_code == 303
    assert (
        "Du har loggat ut" in someone.client.get("/desk/login?note=logged-out", headers={"Accept-Language": "sv"}).text
    )


def test_a_login_ends_after_a_working_day(person: Callable[..., Person]) -> None:
    someone = person()
    with database.transaction() as session:
        for login in session.scalars(select(Login)):
            login.expires_at = database.now(session) - timedelta(seconds=1)
    assert someone.get("/desk/norrvik").status_code == 303
    with database.transaction() as session:
        staff.expire(session, database.now(session))
        assert session.scalars(select(Login)).all() == []


def test_what_was_typed_survives_a_login_that_is_over(person: Callable[..., Person]) -> None:
    someone = person("editor")
    proof = someone.csrf("/desk/norrvik/releases/new")
    someone.post("/desk/logout")
    text = 'Rubrik med "citat" & <tecken> – å ä ö'
    typed = {"csrf": proof, "keep": "1", "headline": text, "body": "rad ett\n\nrad två", "contacts": ["{}", "{}"]}
    before = rows()
    answer = someone.client.post("/desk/norrvik/releases", data=typed)
    assert answer.status_code == 401
    assert proof not in answer.text
    assert rows() == before
    fields = {"csrf": hidden(answer.text, "csrf"), "kept": hidden(answer.text, "kept")}
    wrong = someone.client.post("/desk/login", data={**fields, "address": someone.email, "password": "wrong"})
    fields["kept"] = hidden(wrong.text, "kept")
    resumed = someone.client.post("/desk/login", data={**fields, "address": someone.email, "password": PASSWORD})
    assert resumed.status_code == 200
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', resumed.text)
    sent = [(name, unescape(value)) for name, value in pairs if name != "csrf" or value == hidden(resumed.text, "csrf")]
    assert ("headline", text) in sent
    assert ("body", "rad ett\n\nrad två") in sent
    assert PASSWORD not in resumed.text
    form = re.search(r'action="(/desk/norrvik/releases)"', resumed.text)
    assert form is not None
    data: dict[str, Any] = {}
    for name, value in sent:
        data.setdefault(name, []).append(value)
    data["contacts"] = []
    assert someone.client.post(form[1], data=data).status_code == 303
    with database.reading() as session:
        assert [one.subject for one in session.scalars(select(Audit).where(Audit.act == "draft.create"))] == [text]


def test_a_form_of_an_earlier_login_is_kept_too(person: Callable[..., Person]) -> None:
    someone = person("editor")
    old = someone.csrf("/desk/norrvik/releases/new")
    someone.log_in()
    typed = {"csrf": old, "keep": "1", "headline": "Skriven före"}
    kept = someone.client.post("/desk/norrvik/releases", data=typed, headers={"Sec-Fetch-Site": "same-origin"})
    assert kept.status_code == 403
    assert "Skriven före" in kept.text
    foreign = someone.client.post("/desk/norrvik/releases", data=typed)
    assert foreign.status_code == 403
    assert "Skriven före" not in foreign.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_post_from_another_site_is_refused_with_the_right_proof_even(
    person: Callable[..., Person], headers: dict[str, str]
) -> None:
    someone = person("editor")
    fields = {"csrf": someone.csrf("/desk/norrvik/releases/new"), "headline": "Utifrån"}
    before = rows()
    assert someone.client.post("/desk/norrvik/releases", data=fields, headers=headers).status_code == 403
    assert rows() == before


@pytest.mark.parametrize("proof", ["", "0" * 64, "å", "\x00", "a" * 100_000])
def test_a_wrong_proof_changes_nothing(person: Callable[..., Person], proof: str) -> None:
    someone = person("editor")
    before = rows()
    answer = someone.client.post("/desk/norrvik/releases", data={"csrf": proof, "headline": "Utan bevis"})
    assert answer.status_code == 403
    assert "Inget har ändrats" in answer.text
    assert rows() == before


def test_a_login_form_from_elsewhere_is_refused(site: TestClient) -> None:
    hire("known@example.org")
    fields = {"address": "known@example.org", "password": PASSWORD, "csrf": tokens.csrf("guess", "form")}
    assert site.post("/desk/login", data=fields).status_code == 403


def test_the_link_sets_a_password_once_and_looking_uses_nothing_up(site: TestClient) -> None:
    token = invited()
    path = f"/desk/password/{token}"
    before = rows()
    for _ in range(3):
        page = site.get(path)
        assert page.status_code == 200
        assert page.headers["Referrer-Policy"] == "no-referrer"
    assert rows() == before
    proof = hidden(page.text, "csrf")

    def choose(password: str, again: str = "") -> Any:
        fields = {"csrf": proof, "password": password, "password-again": again or password}
        return site.post(path, data=fields)

    for bad in ("kort-losen", "nils@example.org", "aaaaaaaaaaaaaaaa", "x" * 501):
        answer = choose(bad)
        assert answer.status_code == 422
        assert bad not in answer.text.replace("nils@example.org", "") or bad == "nils@example.org"
    assert choose(PASSWORD, "another password").status_code == 422
    done = choose(PASSWORD)
    assert (done.status_code, done.headers["Location"]) == (303, "/desk")
    assert site.get("/desk/norrvik").status_code == 200
    assert site.get(path).status_code == 410
    assert choose(PASSWORD).status_code == 410
    assert acts()[-2:] == ["staff.password", "login"]
    kept = rows()["staff"]
    assert PASSWORD not in str(kept)
    assert "$argon2id$" in str(kept)


def test_a_link_is_good_for_three_days_and_the_newest_alone(site: TestClient) -> None:
    old, new = invited(), invited()
    assert site.get(f"/desk/password/{old}").status_code == 410
    assert site.get(f"/desk/password/{new}").status_code == 200
    with database.transaction() as session:
        someone = session.scalars(select(Staff)).one()
        someone.link_expires_at = database.now(session)
    assert site.get(f"/desk/password/{new}").status_code == 410


def test_changing_the_password_ends_the_other_logins(person: Callable[..., Person]) -> None:
    here, there = person(), person()
    fresh = "another password entirely"

    def change(present: str, new: str, again: str) -> Any:
        fields = {"password": present, "password-new": new, "password-again": again}
        return here.post("/desk/account/password", fields)

    assert change("wrong", fresh, fresh).status_code == 422
    assert change(PASSWORD, fresh, "different").status_code == 422
    assert change(PASSWORD, "short", "short").status_code == 422
    assert there.get("/desk/account").status_code == 200
    assert change(PASSWORD, fresh, fresh).status_code == 303
    assert there.get("/desk/account").status_code == 303
    assert here.get("/desk/account").status_code == 200
    assert here.log_in().status_code == 401
    assert here.log_in(fresh).status_code == 303


def test_one_sees_and_ends_ones_own_logins_and_nobody_elses(person: Callable[..., Person]) -> None:
    here, there, other = person(), person(), person("editor")
    with database.reading() as session:
        numbers = {login.staff.address: login.id for login in session.scalars(select(Login).order_by(Login.id))}
        mine = session.scalars(select(Login.id).where(Login.id != numbers[here.email]).order_by(Login.id)).first()
    here.post(f"/desk/account/logins/{numbers[other.email]}/end")
    assert other.get("/desk/account").status_code == 200
    there.post(f"/desk/account/logins/{mine}/end")
    assert [one.get("/desk/account").status_code for one in (here, there)] == [303, 200]
    back = person()
    back.post("/desk/account/logins/end")
    assert [one.get("/desk/account").status_code for one in (there, back)] == [303, 200]


def test_a_role_taken_away_counts_from_the_next_click(person: Callable[..., Person]) -> None:
    someone = person("editor")
    with database.transaction() as session:
        known, room = staff.by_address(session, someone.email), newsrooms.get(session, "norrvik")
        assert known is not None
        assert room is not None
        assert staff.remove(session, known.id, room.id)
    assert someone.get("/desk/norrvik").status_code == 404
    assert "Du har just nu ingen roll" in someone.client.get("/desk", headers={"Accept-Language": "sv"}).text


def test_the_desk_runs_no_foreign_script_and_is_not_kept(person: Callable[..., Person]) -> None:
    page = person().get("/desk/norrvik")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert re.findall(r"<script(?! src=\"/static/)", page.text) == []
    assert not re.search(r"\son\w+=|style=", page.text)
    assert settings.current().site.startswith("http://")


def test_what_was_typed_survives_guessing_and_a_log_in_page_left_open_for_long(person: Callable[..., Person]) -> None:
    someone = person("editor")
    fields = {"kept": '{"path": "/desk/norrvik/releases", "pairs": [["headline", "Kvar"]]}', "address": someone.email}
    someone.client.cookies.delete("utskick_form")
    old = someone.client.post(
        "/desk/login", data={**fields, "csrf": "0" * 64}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert old.status_code == 403
    assert hidden(old.text, "kept") == fields["kept"]
    foreign = someone.client.post("/desk/login", data={**fields, "csrf": "0" * 64})
    assert foreign.status_code == 403
    assert "Kvar" not in foreign.text
    fields["csrf"] = hidden(old.text, "csrf")
    for _ in range(12):
        stopped = someone.client.post("/desk/login", data=fields)
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) > 0
    assert hidden(stopped.text, "kept") == fields["kept"]
    assert "Försök igen om" in someone.client.post("/desk/login", data=fields, headers={"Accept-Language": "sv"}).text


@pytest.mark.parametrize(
    "kept",
    [
        "{",
        "[]",
        "null",
        '{"path": "https://evil.example", "pairs": []}',
        '{"path": "//evil.example", "pairs": []}',
        '{"path": "/norrvik/subscribe", "pairs": []}',
        '{"path": "/desk/x", "pairs": [1]}',
        "[" * 100_000,
    ],
)
def test_nothing_is_carried_on_but_what_we_kept(site: TestClient, kept: str) -> None:
    hire("ny@example.org")
    fields = {"csrf": hidden(site.get("/desk/login").text, "csrf"), "address": "ny@example.org", "password": PASSWORD}
    done = site.post("/desk/login", data={**fields, "kept": kept})
    assert (done.status_code, done.headers["Location"]) == (303, "/desk")


def test_a_browser_that_names_no_origin_on_the_link_s_page_sets_the_password(site: TestClient) -> None:
    """A no-referrer page's form has the origin `null` in every browser; newer ones say where it comes from besides."""
    for extra in ({"Sec-Fetch-Site": "same-origin"}, {}):
        path = f"/desk/password/{invited(f'{len(extra)}@example.org')}"
        fields = {"password": PASSWORD, "password-again": PASSWORD}
        proof = {"csrf": hidden(site.get(path).text, "csrf")}
        foreign = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
        assert site.post(path, data=fields | proof, headers=foreign).status_code == 403
        assert site.post(path, data=fields, headers={"Origin": "null", **extra}).status_code == 403
        assert site.post(path, data=fields | proof, headers={"Origin": "null", **extra}).status_code == 303


def test_logging_in_again_ends_the_login_that_the_browser_had(person: Callable[..., Person]) -> None:
    someone = person()
    stolen = dict(someone.client.cookies)
    someone.log_in()
    thief = browser()
    thief.cookies.update(stolen)
    assert thief.get("/desk/norrvik").status_code == 303
    assert someone.get("/desk/norrvik").status_code == 200


def test_the_account_page_names_browsers_as_people_do(person: Callable[..., Person]) -> None:
    someone = person()
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0"
    someone.client.headers["User-Agent"] = agent
    someone.log_in()
    page = someone.client.get("/desk/account", headers={"Accept-Language": "en"}).text
    assert "Edge on Windows" in page
    assert "Mozilla" not in page


def test_guessing_the_present_password_is_slowed_down_too(person: Callable[..., Person]) -> None:
    someone = person()
    fields = {"password": "wrong", "password-new": "x" * 12, "password-again": "x" * 12}
    said = [someone.post("/desk/account/password", fields).status_code for _ in range(12)]
    assert said[0] == 422
    assert said[-1] == 429


def test_the_log_names_no_address_and_no_token(
    person: Callable[..., Person], capsys: pytest.CaptureFixture[str]
) -> None:
    token = invited()
    someone = person()
    someone.client.get(f"/desk/password/{token}")
    someone.log_in("wrong")
    written = "".join(capsys.readouterr())
    assert "log-in refused" in written
    assert "/desk/password/{token}" in written
    assert token not in written
    assert someone.email not in written
