"""The commands as real processes: exit codes, what they print, JSON's shapes, and one clear line for any bad input."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import files, newsrooms
from tests.cli.said import Said
from tests.conftest import Backend
from tests.servers import Broker, Sink, free_port
from tests.service.press import START, TWIN, at_once, do
from tests.stack import ROOT, Stack

DRIVER = """
import contextlib, io, json, sys, traceback
from service.cli.main import main
said = []
for args in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = ["utskick", *args]
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""
"""Runs one command after the other in one process, since a process takes a second to begin."""

RELEASE = "---\nnewsroom: asele-strand\nheadline: Badet öppnar\n{fields}---\n\nVälkommen.\n"
LOAD = ["newsroom", "load", str(TWIN / "newsroom-asele-strand.yaml")]
CONSENT = ["--newsroom", "asele-strand", "--consent", "de skrev upp sig på badet"]
BOOKS = (
    "id", "release", "version", "state", "recipients", "accepted", "refused", "skipped", "uncertain", "pending",
    "started_at", "finished_at",
)  # fmt: skip


def run(stack: Stack, *commands: list[str], **environment: str) -> list[Said]:
    """Run commands in one process; none may show a traceback."""
    said = answers_of(stack, *commands, **environment)
    for command, one in zip(commands, said, strict=True):
        assert "Traceback" not in one.out + one.err, (command, one.err)
        assert one.code in (0, 1, 2), (command, one)
    return said


def answers_of(stack: Stack, *commands: list[str], **environment: str) -> list[Said]:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=stack.folder,
        env=stack.environment | environment,
    )
    return [Said(*one) for one in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Broker, Sink]]:
    broker, sink = Broker(), Sink()
    yield broker, sink
    sink.close()
    broker.close()


@pytest.fixture
def house(tmp_path: Path, database_url: str, servers: tuple[Broker, Sink]) -> Iterator[Stack]:
    """An installation on each kind of database where nothing runs."""
    with Stack(tmp_path / "house", database_url, *servers) as made:
        yield made


@pytest.fixture(scope="module")
def quiet(
    tmp_path_factory: pytest.TempPathFactory, sqlite_backend: Backend, servers: tuple[Broker, Sink]
) -> Iterator[Stack]:
    """An installation on SQLite for all that needs no database of its own, with the twin's newsroom."""
    url = sqlite_backend.fresh()
    with Stack(tmp_path_factory.mktemp("quiet"), url, *servers) as made:
        twin(made)
        for name, content in BAD_FILES.items():
            (made.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        yield made
    sqlite_backend.discard(url)


def entered() -> None:
    """Enter the twin's newsroom in the database of this test, without a process."""
    path = TWIN / "newsroom-asele-strand.yaml"
    do(newsrooms.load, newsrooms.parse_file(files.read(path), path.name), START)


def twin(stack: Stack) -> None:
    (said,) = run(stack, LOAD)
    assert said == Said(0, f"Made asele-strand (Åsele strands kommun): {stack.url('/asele-strand')}\n", "")


def written(stack: Stack, name: str, content: str) -> str:
    (stack.folder / name).write_text(content, encoding="utf-8")
    return name


BAD_FILES: dict[str, str | bytes] = {
    "bad.yaml": "slug: norrvik\nname: 5\n",
    "latin.yaml": "name: Åsele\n".encode("latin-1"),
    "plain.md": "Ingen rubrik.\n",
    "good.md": RELEASE.format(fields=""),
    "unknown.md": RELEASE.format(fields="").replace("asele-strand", "nowhere"),
    "nameless.md": RELEASE.format(fields="").replace("newsroom: asele-strand\n", ""),
    "old.md": RELEASE.format(fields="date: 2019-05-06\n"),
    "coming.md": RELEASE.format(fields="date: 2919-05-06\n"),
    "dateless.md": RELEASE.format(fields="date: i våras\n"),
    "wrong.md": RELEASE.format(fields="keywords: bad\n"),
    "large.md": RELEASE.format(fields="") + "x" * 1_000_000,
    "nul.md": RELEASE.format(fields="") + "\0",
    "latin.csv": "email\nåsa@example.org\n".encode("latin-1"),
    "long.csv": "email\n" + "x" * 300_000 + "\n",
    "quote.csv": 'email\n"anna@example.org\n',
    "nul.csv": "email\nanna\0@example.org\n",
    "empty.csv": "",
    "good.csv": "anna@example.org\n",
}
PUBLISH = ["release", "publish"]
IMPORT = ["subscribers", "import"]
BAD: list[tuple[list[str], int, str]] = [
    ([], 2, "Usage"),
    (["nonsense"], 2, "No such command"),
    (["newsroom", "load"], 2, "Missing argument"),
    (["newsroom", "load", "nowhere.yaml"], 1, "nowhere.yaml: No such file"),
    (["newsroom", "load", "."], 1, "directory"),
    (["newsroom", "load", "bad.yaml"], 1, "bad.yaml:2: name: it must be text; put quotes around it"),
    (["newsroom", "load", "latin.yaml"], 1, "latin.yaml:1: it is not UTF-8 text"),
    (["newsroom", "show", "nowhere"], 1, "there is no newsroom 'nowhere'"),
    (["newsroom", "show", "\udcff"], 1, "there is no newsroom"),
    (["newsroom", "show", "../x"], 1, "there is no newsroom"),
    ([*PUBLISH, "nowhere.md"], 1, "nowhere.md: No such file"),
    ([*PUBLISH, "plain.md"], 1, "plain.md:1: the front matter is missing"),
    ([*PUBLISH, "wrong.md"], 1, "wrong.md:4: keywords: it must be a list"),
    ([*PUBLISH, "large.md"], 1, "larger than 1,000,000 bytes"),
    ([*PUBLISH, "nul.md"], 1, "body: it holds control characters"),
    ([*PUBLISH, "unknown.md"], 1, "there is no newsroom 'nowhere'"),
    ([*PUBLISH, "good.md", "--newsroom", "norrvik"], 2, "names the newsroom 'asele-strand'"),
    ([*PUBLISH, "nameless.md"], 2, "names no newsroom"),
    ([*PUBLISH, "nameless.md", "--newsroom", "nowhere"], 1, "there is no newsroom 'nowhere'"),
    ([*PUBLISH, "nameless.md", "--newsroom", "\udcff"], 1, "there is no newsroom"),
    ([*PUBLISH, "good.md", "--at", "soon"], 1, "'soon' is not a time"),
    ([*PUBLISH, "good.md", "--at", "2020-01-01 10:00"], 1, "2020-01-01 10:00 has passed"),
    ([*PUBLISH, "good.md", "--at", "2030-03-31 02:30"], 1, "does not exist in Europe/Stockholm"),
    ([*PUBLISH, "good.md", "--at", "2030-10-27 02:30"], 1, "happens twice in Europe/Stockholm"),
    ([*PUBLISH, "good.md", "--at", "9999-12-31 23:59"], 1, "too far away"),
    ([*PUBLISH, "good.md", "--wait", "--at", "2030-01-01"], 2, "--wait"),
    ([*PUBLISH, "good.md", "--wait", "--no-mail"], 2, "--wait"),
    ([*PUBLISH, "old.md"], 2, "--no-mail"),
    ([*PUBLISH, "coming.md", "--no-mail"], 2, "still to come"),
    ([*PUBLISH, "dateless.md", "--no-mail"], 1, "is not a time"),
    (["release", "withdraw", "badet"], 2, "NEWSROOM/SLUG"),
    (["release", "withdraw", "asele-strand/nowhere"], 1, "there is no release asele-strand/nowhere"),
    (["release", "withdraw", "asele-strand/\udcff"], 1, "there is no release"),
    (["release", "withdraw", "nowhere/badet"], 1, "there is no newsroom 'nowhere'"),
    (["dispatch", "show", "one"], 2, "integer"),
    (["dispatch", "show", "0"], 2, "than or equal to 1"),
    (["dispatch", "show", "999"], 1, "there is no dispatch 999"),
    (["dispatch", "show", "9" * 30], 2, "than or equal to"),
    (["dispatch", "decide", "999", "--resend"], 1, "there is no dispatch 999"),
    (["dispatch", "decide", "999"], 2, "--resend"),
    (["dispatch", "decide", "999", "--resend", "--leave"], 2, "--leave"),
    (["dispatch", "pause", "999"], 1, "there is no dispatch 999"),
    (["dispatch", "resume", "999"], 1, "there is no dispatch 999"),
    (["dispatch", "cancel", "999"], 1, "there is no dispatch 999"),
    ([*IMPORT, "nowhere.csv", *CONSENT], 1, "No such file"),
    ([*IMPORT, "good.csv", "--newsroom", "nowhere", "--consent", "x"], 1, "there is no newsroom 'nowhere'"),
    ([*IMPORT, "good.csv", "--newsroom", "asele-strand"], 2, "--consent"),
    ([*IMPORT, "good.csv", "--newsroom", "asele-strand", "--consent", " "], 2, "--consent"),
    ([*IMPORT, "good.csv", "--newsroom", "asele-strand", "--consent", "a\udcff"], 2, "--consent"),
    ([*IMPORT, "latin.csv", *CONSENT], 1, "latin.csv:2: it is not UTF-8 text"),
    ([*IMPORT, "long.csv", *CONSENT], 1, "long.csv:2: "),
    ([*IMPORT, "quote.csv", *CONSENT], 1, "quote.csv:"),
    ([*IMPORT, "nul.csv", *CONSENT], 1, "nul.csv:2: "),
    (["subscribers", "count", "--newsroom", "nowhere"], 1, "there is no newsroom 'nowhere'"),
    (["subscribers", "count"], 2, "--newsroom"),
    *((later.split(), 2, "No such command") for later in (
        "subscribers export", "subscribers show", "subscribers erase", "check", "import", "release correct",
    )),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(quiet: Stack) -> list[Said]:
    """What all the bad commands say, on a database that stays as it was."""
    before = quiet.value("SELECT count(*) FROM releases"), quiet.value("SELECT count(*) FROM newsrooms")
    said = answers_of(quiet, *(command for command, _, _ in BAD))
    after = quiet.value("SELECT count(*) FROM releases"), quiet.value("SELECT count(*) FROM newsrooms")
    assert before == after
    assert quiet.value("SELECT count(*) FROM subscriptions") == 0
    return said


@pytest.mark.parametrize("index", range(len(BAD)), ids=[" ".join(command)[:60] for command, _, _ in BAD])
def test_bad_input_gets_one_clear_answer(answers: list[Said], index: int) -> None:
    command, code, words = BAD[index]
    said = answers[index]
    plain = re.sub(r"[\s│]+", " ", re.sub(r"\x1b\[[0-9;]*m", "", said.err or said.out))
    assert "Traceback" not in plain, plain[-400:]
    assert said.code == code, said
    assert words in plain, said
    if code == 1:
        assert said.err.startswith("utskick: ") or "import" in command
        assert said.err.count("\n") == 1


def test_help_lists_what_there_is_and_nothing_more(quiet: Stack) -> None:
    wanted = {
        "": {"bench", "demo", "up", "migrate", "newsroom", "release", "dispatch", "subscribers", "staff"},
        "newsroom": {"load", "list", "show"},
        "release": {"publish", "list", "withdraw"},
        "dispatch": {"list", "show", "decide", "pause", "resume", "cancel"},
        "subscribers": {"import", "count"},
        "staff": {"add", "link", "list", "remove", "logout", "key", "keys", "revoke"},
    }
    groups = list(wanted)
    said = run(quiet, *([*group.split(), "--help"] for group in groups), COLUMNS="100", TERM="dumb")
    for group, one in zip(groups, said, strict=True):
        assert one.code == 0
        listed = one.out.partition("Commands")[2]
        assert set(re.findall(r"^[│|]?\s{0,2}([a-z]+)(?=\s)", listed, re.MULTILINE)) == wanted[group], one.out


def test_the_real_command_as_an_operator_runs_it(quiet: Stack) -> None:
    done = quiet.cli("newsroom", "show", "nowhere", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "utskick: there is no newsroom 'nowhere'; `utskick newsroom list` shows them\n"


def test_the_words_for_things(house: Stack) -> None:
    release = TWIN / "vänort-Havnvik 2026.md"
    publish = [*PUBLISH, str(release), "--json"]
    made, loaded, listed, shown, first, again, releases, dispatches, books, count, table = run(
        house,
        LOAD,
        LOAD,
        ["newsroom", "list", "--json"],
        ["newsroom", "show", "asele-strand"],
        publish,
        publish,
        ["release", "list", "--json"],
        ["dispatch", "list", "--json"],
        ["dispatch", "show", "1", "--json"],
        ["subscribers", "count", "--newsroom", "asele-strand", "--json"],
        ["dispatch", "list"],
    )
    assert made.out.startswith("Made asele-strand")
    assert loaded.out.startswith("Updated asele-strand")
    assert "Changed: " in loaded.out
    assert listed.json == [{"slug": "asele-strand", "name": "Åsele strands kommun", "language": "sv"}]
    assert "  Strandgatan 1\n" in shown.out
    assert first.json == {
        "release": "asele-strand/vanort-havnvik-2026",
        "version": 1,
        "dispatch": 1,
        "url": house.url("/asele-strand/releases/vanort-havnvik-2026"),
    }
    assert again == first
    assert [one["state"] for one in releases.json] == ["published"]
    assert [one["id"] for one in dispatches.json] == [1]
    assert tuple(books.json)[: len(BOOKS)] == BOOKS
    assert (books.json["state"], books.json["recipients"], books.json["pending"]) == ("expanding", None, 0)
    assert count.json == {"newsroom": "asele-strand", "pending": 0, "confirmed": 0, "ended": 0}
    assert {"expanding", "asele-strand/vanort-havnvik-2026"} <= set(table.out.split())


def test_what_show_prints_load_takes(quiet: Stack) -> None:
    (shown,) = run(quiet, ["newsroom", "show", "asele-strand"])
    path = written(quiet, "shown.yaml", shown.out)
    loaded, again = run(quiet, ["newsroom", "load", path], ["newsroom", "show", "asele-strand"])
    assert loaded.code == 0
    assert again.out == shown.out


def test_the_demos_newsroom_is_shown_as_it_was_read(house: Stack) -> None:
    demo = ROOT / "service/cli/demo/newsroom.yaml"
    _, shown = run(house, ["newsroom", "load", str(demo)], ["newsroom", "show", "fjallvik"])
    assert newsrooms.parse_file(shown.out, "shown.yaml") == newsrooms.parse_file(files.read(demo), demo.name)


def test_publishing_in_all_its_ways(house: Stack) -> None:
    file = written(house, "badet.md", RELEASE.format(fields=""))
    other = written(house, "annat.md", RELEASE.format(fields="slug: badet\nlead: Annat\n"))
    later = written(house, "senare.md", RELEASE.format(fields="headline2: x\n").replace("headline2: x\n", ""))
    old = written(house, "gammal.md", RELEASE.format(fields="date: 2019-05-06 12:00\n"))
    _, *said = run(
        house,
        LOAD,
        [*PUBLISH, file],
        [*PUBLISH, file],
        [*PUBLISH, other],
        [*PUBLISH, later, "--at", "2930-03-01 09:30"],
        [*PUBLISH, later, "--json"],
        [*PUBLISH, later, "--at", "2931-03-01 09:30"],
        [*PUBLISH, old, "--no-mail"],
        [*PUBLISH, old, "--no-mail", "--json"],
        ["release", "withdraw", "asele-strand/badet"],
        ["release", "withdraw", "asele-strand/badet"],
        [*PUBLISH, file],
        ["dispatch", "show", "1", "--json"],
        ["release", "list"],
    )
    assert [one.code for one in said] == [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    first, again, refused, scheduled, repeated, moved, archived, unmailed, gone, gone_again, late, books, listed = said
    assert first.out.startswith("asele-strand/badet is published: ")
    assert again.out.startswith("asele-strand/badet is already published: ")
    assert refused.err.startswith("utskick: asele-strand/badet is already published; use")
    assert "use `release correct`" in refused.err
    assert "is scheduled for" in scheduled.out
    assert "09:30" in scheduled.out
    assert repeated.json["dispatch"] is None
    assert "scheduled for another time" in moved.err
    assert "nobody is mailed" in archived.out
    assert unmailed.json["dispatch"] is None
    assert (gone.out, gone_again.out) == (
        "asele-strand/badet is withdrawn.\n",
        "asele-strand/badet is already withdrawn.\n",
    )
    assert "was withdrawn" in late.err
    assert books.json["state"] == "cancelled"
    assert {"withdrawn", "scheduled", "published"} <= set(listed.out.split())


def test_a_headline_is_shown_as_it_is_written(quiet: Stack) -> None:
    headline = "[/b] [red]Rött[/red] :smile: [link=https://example.org]x"
    path = written(quiet, "marks.md", RELEASE.format(fields="").replace("Badet öppnar", f"'{headline}'"))
    _, listed = run(quiet, [*PUBLISH, path], ["release", "list"], COLUMNS="300")
    assert headline in listed.out


def test_the_same_file_from_two_processes_at_once(house: Stack) -> None:
    file = written(house, "badet.md", RELEASE.format(fields=""))
    entered()
    said = at_once(2, lambda _: house.cli(*PUBLISH, file, "--json").stdout)
    assert said[0] == said[1]
    assert house.value("SELECT count(*) FROM dispatches") == 1


def test_publishing_without_a_broker_succeeds_and_says_so(quiet: Stack) -> None:
    file = written(quiet, "ringless.md", RELEASE.format(fields=""))
    (said,) = run(quiet, [*PUBLISH, file], UTSKICK_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert said.code == 0
    assert "The broker is away" in said.err
    (said,) = run(quiet, [*PUBLISH, file, "--json"], UTSKICK_BROKER_URL="")
    assert said.json["dispatch"] is not None


def test_an_import_with_header_mark_and_bad_lines(house: Stack) -> None:
    lines = [
        "Namn,E-post",
        "Anna,anna@example.org",
        "",
        "Bo,Bo@Räksmörgås.example.org",
        "Eva,eva",
        "Per,",
        "Åsa,åsa@example.org",
        "Ulf",
    ]
    (house.folder / "list.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    path = written(house, "plain.csv", "anna@example.org\nANNA@example.org\nlars@example.org\n")
    command = [*IMPORT, "list.csv", *CONSENT]
    _, first, again, plain, count = run(
        house,
        LOAD,
        command,
        command,
        [*IMPORT, path, *CONSENT],
        ["subscribers", "count", "--newsroom", "asele-strand", "--json"],
    )
    assert (first.code, again.code, plain.code) == (1, 1, 0)
    assert first.out == "2 entered, 0 there already or twice in the file, 4 refused.\n"
    assert first.err.splitlines() == [
        "list.csv:5: not an address",
        "list.csv:6: no address",
        "list.csv:7: å, ä, ö or the like before the @ (ALLOW_SMTPUTF8 is off)",
        "list.csv:8: no address",
    ]
    assert again.out == "0 entered, 2 there already or twice in the file, 4 refused.\n"
    assert plain.out == "1 entered, 2 there already or twice in the file, 0 refused.\n"
    assert count.json["confirmed"] == 3
    assert {row["text"] for row in house.rows("SELECT text FROM consents")} == {"de skrev upp sig på badet"}
    assert house.value("SELECT count(*) FROM deliveries") == 0


def test_a_quote_that_is_never_closed_swallows_nobody(house: Stack) -> None:
    path = written(house, "quote.csv", 'email\nanna@example.org\n"bo@example.org\neva@example.org\n')
    _, done, count = run(
        house, LOAD, [*IMPORT, path, *CONSENT], ["subscribers", "count", "--newsroom", "asele-strand", "--json"]
    )
    assert (done.code, done.out) == (1, "")
    assert "quote.csv:3: a quote is not closed on its line" in done.err
    assert count.json["confirmed"] == 0


def test_a_list_from_a_nordic_spreadsheet(house: Stack) -> None:
    path = written(house, "semicolons.csv", "Namn;E-post\nAnna;anna@example.org\nBo;bo@example.org\n")
    _, done = run(house, LOAD, [*IMPORT, path, *CONSENT])
    assert done.out == "2 entered, 0 there already or twice in the file, 0 refused.\n"


def test_a_long_list_is_imported_quickly_and_again_changes_nothing(house: Stack) -> None:
    many = 10_000 if house.database_url.startswith("sqlite") else 2_000
    path = written(house, "long.csv", "email\n" + "".join(f"reader-{n}@example.org\n" for n in range(many)))
    entered()
    begun = time.monotonic()
    first, again = run(house, [*IMPORT, path, *CONSENT], [*IMPORT, path, *CONSENT])
    assert time.monotonic() - begun < 30
    assert first.out.startswith(f"{many:,} entered, 0 there already")
    assert again.out.startswith(f"0 entered, {many:,} there already")
    assert house.rows("SELECT max(id) AS id, count(*) AS n FROM consents") == [{"id": many, "n": many}]


def test_a_list_may_be_larger_than_a_release(quiet: Stack) -> None:
    path = written(quiet, "larger.csv", "email\n" + "anna@example.org\n" + "\n" * 1_500_000)
    (said,) = run(quiet, [*IMPORT, path, "--newsroom", "nowhere", "--consent", "x"])
    assert "there is no newsroom" in said.err


COMMANDS = [
    ["newsroom", "list"], ["newsroom", "show", "x"], ["newsroom", "load", str(TWIN / "newsroom-asele-strand.yaml")],
    ["release", "list"], ["release", "publish", "x.md"], ["release", "withdraw", "a/b"], ["dispatch", "list"],
    ["dispatch", "show", "1"], ["dispatch", "decide", "1", "--leave"], ["dispatch", "pause", "1"],
    ["subscribers", "count", "--newsroom", "x"], [*IMPORT, "x.csv", *CONSENT], ["staff", "list"], ["staff", "keys"],
]  # fmt: skip


def test_pending_migrations_are_named_by_every_command(
    tmp_path: Path, empty_database_url: str, servers: tuple[Broker, Sink]
) -> None:
    with Stack(tmp_path / "new", empty_database_url, *servers) as new:
        said = run(new, *COMMANDS)
        assert [one.code for one in said] == [1] * len(COMMANDS)
        assert all("`utskick migrate`" in one.err and one.err.count("\n") == 1 for one in said), said
        migrated, again, listed = run(new, ["migrate"], ["migrate"], ["newsroom", "list"])
        assert (migrated.code, migrated.out) == (again.code, again.out)
        assert "up to date" in migrated.out
        assert (listed.code, listed.out) == (0, "No newsroom yet: `utskick newsroom load FILE.yaml` makes one.\n")


@pytest.mark.parametrize("where", ["no folder", "no database", "no server"])
def test_a_database_that_cannot_be_used(quiet: Stack, where: str) -> None:
    (quiet.folder / "text.db").write_text("not a database" * 100)
    urls = {
        "no folder": "sqlite:////nonexistent/utskick.db",
        "no database": f"sqlite:///{quiet.folder / 'text.db'}",
        "no server": f"postgresql://utskick@127.0.0.1:{free_port()}/utskick",
    }
    said = run(quiet, *COMMANDS, ["migrate"], UTSKICK_DATABASE_URL=urls[where])
    assert {(one.code, one.err.count("\n")) for one in said} == {(1, 1)}, said
    assert all("database" in one.err for one in said), said


def test_the_command_is_a_script_of_the_package() -> None:
    assert 'utskick = "service.cli.main:main"' in (ROOT / "pyproject.toml").read_text()
