"""Mail: a version becomes a compiled message, and that the bytes of one delivery. No input, no output."""

from service.mail.letters import confirmation, notice
from service.mail.message import Compiled, MessageError
from service.mail.release import compile_release, join

__all__ = ["Compiled", "MessageError", "compile_release", "confirmation", "join", "notice"]
