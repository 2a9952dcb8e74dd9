"""`utskick demo`: seeded once, and never near anything real."""

from pathlib import Path

import httpx

from tests.cli.running import Running
from tests.servers import wait

NEWSROOM = "slug: example\nname: Example\nlanguage: en\ntimezone: Europe/London\n"
REAL = {
    "database_url": "postgresql://nobody@127.0.0.1:1/real",
    "broker_url": "redis://127.0.0.1:1/0",
    "redis_url": "redis://127.0.0.1:1/0",
    "smtp_url": "smtp://127.0.0.1:1",
    "base_url": "https://press.example.org",
}


def test_it_shows_the_main_job_and_is_seeded_once(tmp_path: Path) -> None:
    demo = Running(tmp_path, "demo", **REAL)
    try:
        demo.launch()
        wait((demo.var_dir / "demo.state").exists, what="the seeding has begun")
        demo.kill9()
        demo.start()
        demo.wait_for("The mailing is finished", 60)
        mails = demo.messages()
        assert len(mails) == len({mail["to"] for mail in mails}) == 25
        assert "recipients     25" in demo.said and "accepted       25" in demo.said
        page = httpx.get(demo.site("/fjallvik"), trust_env=False)
        assert page.text.count("/fjallvik/releases/") >= 4
        assert demo.interrupt() == 0
        again_with_a_real_env_file(demo)
        without_its_key(demo)
    finally:
        demo.give_up()


def again_with_a_real_env_file(demo: Running) -> None:
    (demo.folder / ".env").write_text("".join(f"UTSKICK_{name.upper()}={value}\n" for name, value in REAL.items()))
    for name in REAL:
        demo.environment.pop(f"UTSKICK_{name}".upper())
    demo.start()
    demo.wait_for("The demo was seeded before")
    assert len(demo.messages()) == 25
    assert demo.interrupt() == 0
    (demo.folder / ".env").unlink()


def without_its_key(demo: Running) -> None:
    (demo.var_dir / "address.key").unlink()
    done = demo.attempt("up")
    assert done.returncode == 1
    assert "address.key is missing, but the database holds followers" in done.stderr


def test_it_refuses_a_database_that_it_did_not_seed(tmp_path: Path) -> None:
    demo = Running(tmp_path, "demo")
    (tmp_path / "example.yaml").write_text(NEWSROOM)
    for command in ("migrate", "newsroom load example.yaml"):
        assert demo.attempt(command).returncode == 0
    done = demo.attempt()
    assert done.returncode == 1
    assert done.stderr.startswith(f"utskick demo: the database in {demo.var_dir} is not the demo's")
