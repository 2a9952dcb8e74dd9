"""Mail: a version becomes a compiled message, and that the bytes of one delivery. No input, no output."""

from service.mail.letters import confirmation, notice
from service.mail.message import Compiled, Form, MessageError
from service.mail.release import compile_release, form, join
from service.mail.trial import Opened, as_published, preview, sender, test_mail

__all__ = [
    "Compiled",
    "Form",
    "MessageError",
    "Opened",
    "as_published",
    "compile_release",
    "confirmation",
    "form",
    "join",
    "notice",
    "preview",
    "sender",
    "test_mail",
]
