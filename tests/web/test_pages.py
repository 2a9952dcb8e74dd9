"""What a reader sees: press room, releases, release, privacy, the colours, the languages."""

from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service import colours, database, newsrooms, releases
from service.web import assets, look

from .conftest import NORRVIK, RELEASE, WHEN, newsroom_of, publish


def test_nobody_here_yet_is_said_in_the_browsers_language(empty: TestClient) -> None:
    page = empty.get("/", headers={"Accept-Language": "sv-SE,sv;q=0.9"})
    assert page.status_code == 200
    assert "Här finns inget pressrum än" in page.text
    assert page.headers["Vary"] == "Accept-Language"


def test_home_lists_the_newsrooms(site: TestClient) -> None:
    page = site.get("/")
    assert 'href="/norrvik"' in page.text
    assert 'href="/karhula"' in page.text


def test_home_leads_straight_to_the_only_newsroom(empty: TestClient) -> None:
    with database.transaction() as session:
        newsrooms.load(session, newsrooms.parse_file(NORRVIK, "norrvik.yaml"), WHEN)
    answer = empty.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/norrvik")


def test_press_room_has_name_box_releases_contacts_about(site: TestClient) -> None:
    page = site.get("/norrvik").text
    for shown in (
        '<html lang="sv">',
        "<h1>Norrviks kommun</h1>",
        "Nyheter för dig som skriver om Norrvik",
        'action="/norrvik/subscribe"',
        "Följ Norrviks kommun",
        "Bron över älven öppnar",
        "Efter två års arbete",
        "4 mars 2026",
        'href="tel:+46930123456"',
        'href="mailto:asa.oberg@norrvik.example.org"',
        "Norrvik ligger vid havet.",
        "930 00 Norrvik",
        'href="https://norrvik.example.org/press"',
        'href="/norrvik/privacy"',
    ):
        assert shown in page, shown


def test_a_newsroom_with_nothing_published_is_friendly_and_speaks_finnish(site: TestClient) -> None:
    page = site.get("/karhula")
    assert page.headers["Content-Language"] == "fi"
    assert "Täällä ei ole vielä julkaistu mitään" in page.text
    assert "Tilaa tiedotteet" in page.text


def test_a_slash_too_many_leads_on(site: TestClient) -> None:
    answer = site.get("/norrvik/")
    assert (answer.status_code, answer.headers["Location"]) == (308, "/norrvik")
    assert site.get("/nowhere/").status_code == 404


def test_all_releases_are_paged_twenty_a_page(site: TestClient) -> None:
    for number in range(24):
        publish("norrvik", f"nummer-{number}.md", RELEASE, WHEN - timedelta(days=number + 1))
    first, second = (site.get("/norrvik/releases", params=which).text for which in ({}, {"page": 2}))
    assert first.count("<h2><a") == 20
    assert second.count("<h2><a") == 5
    assert 'rel="next" href="/norrvik/releases?page=2"' in first
    assert 'rel="prev" href="/norrvik/releases"' in second
    assert "Sida 2 av 2" in second
    for wrong in ("0", "3", "-1", "x", "2.0", "9" * 30):
        assert site.get("/norrvik/releases", params={"page": wrong}).status_code == 404
    assert 'href="/norrvik/releases"' in site.get("/norrvik").text


def test_release_page_speaks_in_the_newsrooms_zone(site: TestClient) -> None:
    page = site.get("/norrvik/releases/bron").text
    for shown in (
        "Pressmeddelande",
        '<time datetime="2026-03-04T08:30:00+00:00">4 mars 2026 kl. 09.30</time>',
        "<h1>Bron över älven öppnar</h1>",
        "Efter två års arbete",
        'class="quote"',
        "Bron är 120 meter lång.",
        "Nils Ek",
        'href="tel:0700000001"',
        "broar",
        "trafik",
        "Om Norrviks kommun",
        'name="page" value="/norrvik/releases/bron"',
    ):
        assert shown in page, shown
    assert "Åsa Öberg" not in page  # the release names its own contact


def test_release_in_another_language_speaks_it(site: TestClient) -> None:
    publish("norrvik", "silta.md", RELEASE.replace("---\nheadline", "---\nlanguage: fi\nheadline", 1))
    page = site.get("/norrvik/releases/silta")
    assert page.headers["Content-Language"] == "fi"
    assert '<html lang="fi">' in page.text
    assert "4. maaliskuuta 2026 klo 9.30" in page.text
    assert 'lang="fi"' in site.get("/norrvik").text


def test_script_in_a_release_is_harmless(site: TestClient) -> None:
    page = site.get("/norrvik/releases/bron").text.casefold()
    assert "<script" not in page
    assert "javascript:" not in page.replace("[klicka](javascript:alert(2))", "")
    assert "<img" not in page
    assert 'href="javascript' not in page


def test_withdrawn_release_is_gone_and_says_so(site: TestClient) -> None:
    with database.transaction() as session:
        found = releases.find(session, newsroom_of(session, "norrvik").id, "bron")
        assert found is not None
        releases.withdraw(session, found.release, database.now(session))
    page = site.get("/norrvik/releases/bron")
    assert page.status_code == 410
    assert "Norrviks kommun har återkallat pressmeddelandet" in page.text
    assert 'href="/norrvik"' in page.text
    assert "Bron över älven" not in page.text + site.get("/norrvik").text


def test_privacy_notice_names_who_and_how_long(site: TestClient) -> None:
    page = site.get("/norrvik/privacy").text
    for shown in (
        "Kommunstyrelsen i Norrvik",
        "dataskydd@norrvik.example.org",
        "7 dagar",
        "12 månader",
        "365 dagar efter att utskicket",
        "artikel 6.1 a",
        "https://www.imy.se",
    ):
        assert shown in page, shown
    finnish = site.get("/karhula/privacy").text
    assert "Karhulan kaupunki" in finnish
    assert "https://tietosuoja.fi" in finnish
    assert "365 päivän" in finnish


def test_newsrooms_colours_are_kept_for_ever_under_their_own_address(site: TestClient) -> None:
    path = look.address("norrvik", "#f2c200")
    assert path in site.get("/norrvik").text
    sheet = site.get(path)
    assert sheet.headers["Content-Type"].startswith("text/css")
    assert "immutable" in sheet.headers["Cache-Control"]
    assert "#f2c200" in sheet.text  # yellow is fine by night, and too pale by day
    assert "immutable" not in site.get("/norrvik/look.css").headers["Cache-Control"]
    assert site.get("/nowhere/look.css").status_code == 404


@given(st.integers(0, 0xFFFFFF))
def test_every_accent_becomes_readable(number: int) -> None:
    accent = f"#{number:06x}"
    for surfaces, step in ((look.LIGHT, -1), (look.DARK, 1)):
        made = colours.readable(accent, surfaces, step)
        assert min(colours.contrast(made, surface) for surface in surfaces) >= 4.5


def test_contrast_is_computed_against_the_colours_of_the_style_sheet() -> None:
    sheet = (Path(assets.FOLDER) / "site.css").read_text(encoding="utf-8")
    for paper, panel in (look.LIGHT, look.DARK):
        assert f"--paper: {paper};\n" in sheet
        assert f"--panel: {panel};\n" in sheet
    assert len(sheet.splitlines()) < 400


def test_static_files_are_kept_for_ever_under_a_hash(site: TestClient) -> None:
    sheet = site.get(assets.address("site.css"))
    assert sheet.headers["Cache-Control"] == assets.FOR_EVER
    font = site.get(assets.address("fonts/source-sans-3-latin-wght-normal.woff2"))
    assert font.headers["Content-Type"] == "font/woff2"
    assert site.get("/static/old/site.css").headers["Cache-Control"] == "no-cache"
    for wrong in ("nothing.css", "../look.py", "%2e%2e/look.py", "fonts"):
        assert site.get(f"/static/{assets.version()}/{wrong}").status_code == 404


def test_robots_and_icon(site: TestClient) -> None:
    assert "Disallow: /unsubscribe/" in site.get("/robots.txt").text
    assert site.get("/favicon.ico").headers["Content-Type"] == "image/svg+xml"
