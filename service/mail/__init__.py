"""Mail: a version becomes a compiled message, and that the bytes of one delivery. No input, no output."""

from service.mail.letters import confirmation, notice
from service.mail.message import Compiled, MessageError
from service.mail.release import compile_release, join
from service.mail.trial import Opened, as_published, preview, sender, test_mail

__all__ = [
    "Compiled",
    "MessageError",
    "Opened",
    "as_published",
    "compile_release",
    "confirmation",
    "join",
    "notice",
    "preview",
    "sender",
    "test_mail",
]
