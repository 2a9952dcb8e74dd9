"""Publish: once, whoever asks and however often; then the mail, the page and the books say the same."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.people import room
from tests.stack import Stack


def test_a_release_is_published_mailed_and_shown(running: Stack) -> None:
    bath = room(running, about="Björkvik ligger vid sjön.", address="Storgatan 1\n123 45 Björkvik")
    followers = [f"{name}@{bath.slug}.example.org" for name in ("ada", "bo", "cleo")]
    bath.import_followers(*followers)
    done = bath.publish("oppet")
    assert done["release"] == f"{bath.slug}/oppet"
    assert str(done["url"]).endswith(f"/{bath.slug}/releases/oppet")
    running.wait(lambda: bath.books(done["dispatch"])["state"] == "finished")
    books = bath.books(done["dispatch"])
    assert (books["recipients"], books["accepted"], books["pending"]) == (3, 3, 0)
    for follower in followers:
        (mail,) = running.sink.log(follower)
        message = mail.message
        assert message["To"] == follower
        assert message["Subject"] == "Badet öppnar på måndag"
        plain = message.get_body(("plain",))
        assert plain is not None
        assert "säger Maja Ström" in plain.get_content()
        token = running.value("SELECT leave_token FROM subscriptions WHERE address = :a", a=follower)
        assert message["List-Unsubscribe"] == f"<{running.url('/unsubscribe/' + token)}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    with running.client() as client:
        page = client.get(f"/{bath.slug}/releases/oppet")
        assert page.status_code == 200
        assert "Vi har längtat efter den här dagen" in page.text
        assert "Badet öppnar på måndag" in client.get(bath.url()).text


def test_the_same_file_again_is_the_same_dispatch(running: Stack) -> None:
    bath = room(running)
    bath.import_followers(f"one@{bath.slug}.example.org")
    first = bath.publish("igen")
    running.sink.wait_for(1, to=f"one@{bath.slug}.example.org")
    assert bath.publish("igen") == first
    other = running.cli("release", "publish", bath.release_file("igen", "En annan rubrik"), check=False)
    assert other.returncode == 1
    assert "release correct" in other.stderr
    bath.publish("sedan")
    running.wait(lambda: len(running.sink.log(f"one@{bath.slug}.example.org")) == 2)
    assert running.value("SELECT count(*) FROM releases WHERE slug = 'igen'") == 1


def test_several_processes_publish_the_same_file_at_once(running: Stack) -> None:
    bath = room(running)
    follower = f"once@{bath.slug}.example.org"
    bath.import_followers(follower)
    path = bath.release_file("samtidigt")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: running.cli("release", "publish", path, "--json"), range(4)))
    assert len({json.loads(one.stdout)["dispatch"] for one in done}) == 1
    running.wait(lambda: bath.books(json.loads(done[0].stdout)["dispatch"])["state"] == "finished")
    assert len(running.sink.log(follower)) == 1


def test_a_command_killed_at_any_moment_can_be_given_again(running: Stack) -> None:
    bath = room(running)
    follower = f"killed@{bath.slug}.example.org"
    bath.import_followers(follower)
    path = bath.release_file("avbruten")
    for seconds in (0.2, 0.6, 1.0, 1.4):
        process = running.popen("release", "publish", path)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = bath.publish("avbruten")
    running.wait(lambda: bath.books(done["dispatch"])["state"] == "finished")
    assert len(running.sink.log(follower)) == 1
    assert running.value("SELECT count(*) FROM dispatches d JOIN releases r ON r.id = d.release_id"
                         " WHERE r.slug = 'avbruten'") == 1  # fmt: skip


def test_wait_says_how_it_went(running: Stack) -> None:
    bath = room(running)
    domain = f"{bath.slug}.example.org"
    bath.import_followers(f"fine@{domain}", f"refuse550-gone@{domain}")
    done = running.cli("release", "publish", bath.release_file("vanta"), "--wait")
    assert "1 accepted, 1 refused, 0 skipped, 0 uncertain of 2." in done.stdout
    (refused,) = running.rows("SELECT reply, reply_code FROM deliveries WHERE state = 'refused'"
                              " AND dispatch_id = (SELECT max(id) FROM dispatches)")  # fmt: skip
    assert refused["reply_code"] == 550
    assert "gone" not in refused["reply"]


def test_wait_ends_while_some_wait_for_a_later_try(stack: Stack) -> None:
    stack.environment["UTSKICK_RETRY_AFTER"] = "3600"
    bath = room(stack)
    bath.import_followers("fine@example.org", "defer450-busy@example.org")
    stack.start("worker", "confirmations", "beat")
    done = stack.cli("release", "publish", bath.release_file("senare"), "--wait")
    assert "1 wait for a later try" in done.stdout
    books = bath.books(1)
    assert (books["state"], books["accepted"], books["pending"], books["deferred"]) == ("sending", 1, 1, 1)


def test_published_for_later_is_published_then(running: Stack) -> None:
    bath = room(running)
    follower = f"later@{bath.slug}.example.org"
    bath.import_followers(follower)
    done = bath.publish("framtid", "--at", "2040-06-01 09:00")
    assert done["dispatch"] is None
    with running.client() as client:
        assert client.get(bath.url("/releases/framtid")).status_code == 404
        running.write("UPDATE releases SET publish_at = '2020-01-01 00:00:00' WHERE slug = 'framtid'")
        running.sink.wait_for(1, to=follower)
        assert client.get(bath.url("/releases/framtid")).status_code == 200
    again = bath.publish("framtid", "--at", "2020-01-01 09:00")  # the same command, after its time
    assert again["dispatch"] is not None


def test_an_archive_is_moved_without_mail(running: Stack) -> None:
    bath = room(running)
    follower = f"archive@{bath.slug}.example.org"
    bath.import_followers(follower)
    path = bath.release_file("gammal")
    path.write_text(path.read_text().replace("slug: gammal", "slug: gammal\ndate: 2019-05-02 10:00"), encoding="utf-8")
    done = json.loads(running.cli("release", "publish", path, "--no-mail", "--json").stdout)
    assert done["dispatch"] is None
    running.cli("release", "publish", path, "--no-mail")
    bath.publish("ny")
    running.sink.wait_for(1, to=follower)
    assert [mail.message["Subject"] for mail in running.sink.log(follower)] == ["Badet öppnar på måndag"]
    with running.client() as client:
        assert "2 maj 2019 kl. 10.00" in client.get(bath.url("/releases/gammal")).text


def test_a_withdrawn_release_is_gone_and_says_so(running: Stack) -> None:
    bath = room(running)
    bath.publish("fel")
    running.cli("release", "withdraw", f"{bath.slug}/fel")
    with running.client() as client:
        assert client.get(bath.url("/releases/fel")).status_code == 410
        assert client.get(bath.url("/releases/other")).status_code == 404


def test_script_in_a_release_does_nothing(running: Stack) -> None:
    bath = room(running)
    follower = f"xss@{bath.slug}.example.org"
    bath.import_followers(follower)
    path = bath.release_file("skript", headline='"<script>alert(1)</script>"')
    body = "\n\n<script>alert(2)</script> [here](javascript:alert(3)) <img src=x onerror=alert(4)> ![x](https://example.com/p.gif)\n"
    path.write_text(path.read_text() + body, encoding="utf-8")
    running.cli("release", "publish", path)
    (mail,) = running.sink.wait_for(1, to=follower)
    html = mail.message.get_body(("html",))
    assert html is not None
    with running.client() as client:
        for text in (client.get(bath.url("/releases/skript")).text, html.get_content()):
            assert "<script" not in text
            assert 'href="javascript' not in text
            assert "<img" not in text


REAL = os.environ.get("UTSKICK_TEST_RELEASES")


@pytest.mark.parametrize("folder", [Path(__file__).parents[1] / "twin", *([Path(REAL)] if REAL else [])], ids=str)
def test_the_release_files_go_the_whole_way(running: Stack, folder: Path) -> None:
    for newsroom in sorted(folder.glob("*.yaml")):
        running.cli("newsroom", "load", newsroom)
        slug = next(
            line.split(":")[1].strip() for line in newsroom.read_text().splitlines() if line.startswith("slug:")
        )
        path = running.folder / "real.csv"
        path.write_text(f"reader@{slug}.example.org\n")
        running.cli("subscribers", "import", path, "--newsroom", slug, "--consent", "a test")
    for release in sorted(folder.glob("*.md")):
        said = running.cli("release", "publish", release, "--wait")
        assert "1 accepted, 0 refused" in said.stdout
