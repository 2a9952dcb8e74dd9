"""The harness itself: real servers start, misbehave as told and leave nothing behind."""

import smtplib
import ssl
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.conftest import Authority
from tests.servers import Broker, Postgres, Sink

MAIL = b"Message-ID: <one@example.org>\r\nSubject: x\r\n\r\n.a line with a dot\r\n"


@pytest.fixture
def secure(authority: Authority) -> Iterator[Sink]:
    server = Sink(cert=authority.cert, starttls=True, auth="press:right")
    yield server
    server.close()


def send(sink: Sink, *to: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
        return client.sendmail("press@example.org", to, MAIL)


def test_the_sink_notes_and_keeps_a_mail_before_it_answers(sink: Sink) -> None:
    assert send(sink, "anna@example.org", "refuse550-bo@example.org").keys() == {"refuse550-bo@example.org"}
    (mail,) = sink.log()
    assert (mail.sender, mail.recipient) == ("press@example.org", "anna@example.org")
    assert mail.message_id == "<one@example.org>"
    assert mail.content == MAIL
    assert mail.message["Subject"] == "x"


@pytest.mark.parametrize("asked", ["defer450once-", "drop-after-dot-once-"])
def test_the_sink_misbehaves_once(sink: Sink, asked: str) -> None:
    with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPServerDisconnected)):
        send(sink, f"{asked}anna@example.org")
    assert send(sink, f"{asked}anna@example.org") == {}


def test_the_sink_misbehaves_as_told(sink: Sink) -> None:
    sink.behave(mail="451 4.3.0 later")
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(sink, "anna@example.org")
    sink.behave(mail="", banner="421 4.3.2 busy")
    with pytest.raises(smtplib.SMTPConnectError):
        send(sink, "anna@example.org")
    sink.behave(banner="", listen=False)
    with pytest.raises(ConnectionRefusedError):
        send(sink, "anna@example.org")
    sink.behave(listen=True, dot="554 5.7.1 no")
    with pytest.raises(smtplib.SMTPDataError):
        send(sink, "anna@example.org")
    sink.behave(dot="")
    sink.kill()
    sink.start()
    send(sink, "anna@example.org")
    assert len(sink.wait_for(1)) == 1


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_the_sink_speaks_tls_and_wants_a_password(secure: Sink, authority: Authority, mechanism: str) -> None:
    with smtplib.SMTP("127.0.0.1", secure.port, timeout=5) as client:
        client.starttls(context=ssl.create_default_context(cafile=authority.ca))
        client.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("press", "wrong")
        client.user, client.password = "press", "right"
        client.auth(mechanism, getattr(client, f"auth_{mechanism}"))
        client.sendmail("press@example.org", "anna@example.org", MAIL)
    assert secure.count() == 1


def test_a_broker_keeps_what_it_had_when_it_is_killed(each_broker: Broker) -> None:
    with each_broker.client as client:
        client.set("a", "b")
        client.execute_command("CONFIG", "SET", "appendfsync", "always")
        client.set("c", "d")
    each_broker.kill()
    each_broker.start()
    with each_broker.client as client:
        assert client.get("a") == b"b"
        each_broker.flush()
        assert client.get("a") is None


def test_postgresql_starts_again(postgres: Postgres) -> None:
    name = postgres.create()
    postgres.stop()
    postgres.start()
    with create_engine(postgres.url(name), poolclass=NullPool).connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == name
    postgres.drop(name)
