"""What the relays of this world answer, and what it means to somebody who writes press releases."""

import pytest

from service.replies import meaning


@pytest.mark.parametrize(
    ("code", "words", "meant"),
    [
        (550, "5.1.1 <address>: Recipient address rejected: User unknown in virtual mailbox table", "nobody"),
        (550, "5.1.1 The email account that you tried to reach does not exist. gsmtp", "nobody"),
        (550, "5.4.1 Recipient address rejected: Access denied. [AM0EUR02.prod.outlook.com]", "nobody"),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "nobody"),
        (556, "5.1.10 Domain does not accept mail (nullMX)", "no_domain"),
        (550, "5.1.2 <address>: Recipient address rejected: Domain not found", "no_domain"),
        (450, "4.1.2 <address>: Recipient address rejected: Domain not found", "later"),
        (550, "User unknown", "nobody"),
        (550, "mailbox unavailable", "nobody"),
        (551, "User not local; please try <address>", "moved"),
        (552, "5.2.2 The email account that you tried to reach is over quota", "full"),
        (452, "4.2.2 Mailbox full", "full"),
        (452, "4.3.1 Insufficient system storage", "later"),
        (552, "5.3.4 Message size exceeds fixed limit", "large"),
        (552, "Message too large", "large"),
        (550, "5.2.1 The email account that you tried to reach is disabled", "closed"),
        (554, "5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org", "policy"),
        (554, "Your message looks like SPAM", "policy"),
        (554, "no thanks", "policy"),
        (550, "5.7.26 This mail is unauthenticated, which poses a security risk", "signature"),
        (550, "5.7.1 message content rejected: SPF check failed", "signature"),
        (550, "5.7.23 SPF validation failed", "signature"),
        (550, "5.7.25 The IP address sending this message does not have a PTR record", "sender"),
        (553, "5.6.7 The relay offers no SMTPUTF8, which this address needs", "letters"),
        (450, "4.2.0 <address>: Recipient address rejected: Greylisted, see http://postgrey.example", "later"),
        (451, "4.7.1 Greylisting in action, please come back later", "later"),
        (421, "4.7.0 Too many connections from your host", "later"),
        (451, "whatever", "later"),
        (554, "5.4.4 unable to look up host", "no_domain"),
        (554, "5.3.0 mail system trouble", "trouble"),
        (571, "rejected by [5.35.12.9]", ""),
        (None, "the worker died before the relay's answer was heard", "lost"),
        (None, "", ""),
        (599, "ö\u2028 5.", ""),
    ],
)
def test_an_answer_means(code: int | None, words: str, meant: str) -> None:
    assert meaning(code, words) == meant
