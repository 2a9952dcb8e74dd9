"""Runs processes, says what they say, starts again what dies, and stops them all."""

import selectors
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.cli.child import Child
from service.cli.voice import Voice

TURN = 0.1
"""Seconds to wait for output before looking round."""
STEADY = 10.0
"""A process that lived for fewer seconds is started again with a growing delay."""
LONGEST_DELAY = 30.0
SOFT = 7.0
"""Seconds that processes have to end by themselves."""
SOFT_BASE = 1.5
"""Seconds that the broker and the mailbox have after that."""
SAME_WISH = 0.5
"""Signals closer together than this are one wish: a terminal and a wrapper may both send one."""


class StopAsked(Exception):
    """Ctrl-C was pressed, or SIGTERM came."""


@dataclass
class Post:
    """A place that is to be filled by a running process."""

    name: str
    command: Sequence[str]
    base: bool
    child: Child | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = 0.0
    deaths: int = 0


def read_procfile(path: Path) -> list[tuple[str, list[str]]]:
    """Return the names and commands of a Procfile; `python` means this very Python."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, colon, command = line.partition(":")
        if colon and not line.startswith("#"):
            words = shlex.split(command)
            found.append((name.strip(), [sys.executable, *words[1:]] if words[0] == "python" else words))
    return found


class Supervisor:
    """Keeps its posts filled until it is asked to stop."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.posts: list[Post] = []
        self.selector = selectors.DefaultSelector()
        self.asked_at: float | None = None
        self.hurry = False

    def listen(self) -> None:
        """Take Ctrl-C, SIGTERM and a closed terminal as the wish to stop (but keep what nohup set)."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: self._ask())

    def _ask(self) -> None:
        if self.asked_at is None:
            self.asked_at = time.monotonic()
        elif time.monotonic() - self.asked_at > SAME_WISH:
            self.hurry = True

    def start(self, name: str, command: Sequence[str], *, base: bool = False) -> None:
        """Fill a new post; one that others lean on (`base`) is stopped last."""
        post = Post(name, command, base)
        self.posts.append(post)
        self._fill(post)

    def _fill(self, post: Post) -> None:
        post.child = Child(post.command)
        post.started = time.monotonic()
        self.selector.register(post.child.output, selectors.EVENT_READ, post)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Keep everything running until a condition holds (True) or time is up (False); raise StopAsked."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.turn()
        return True

    def deaths(self, name: str) -> int:
        """Return how often a process has died."""
        return sum(post.deaths for post in self.posts if post.name == name)

    def forever(self) -> None:
        """Keep everything running; raise StopAsked."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Look round once: say what was said, notice who died, start who is due; raise StopAsked."""
        if self.asked_at is not None:
            raise StopAsked
        self._hear()
        for post in self.posts:
            if post.child is not None and post.child.ended:
                self._mourn(post, post.child)
            elif post.child is None and time.monotonic() >= post.due:
                self._fill(post)

    def _hear(self) -> None:
        for key, _ in self.selector.select(TURN):
            post: Post = key.data
            if post.child is not None:
                self._say(post, post.child)

    def _say(self, post: Post, child: Child) -> None:
        for line in filter(None, child.lines()):
            self.voice.line(post.name, line)
        if child.ended:
            with suppress(KeyError):
                self.selector.unregister(child.output)

    def _mourn(self, post: Post, child: Child) -> None:
        self._lay_down(post, child)
        post.deaths += 1
        lived = time.monotonic() - post.started
        post.delay = 0.0 if lived > STEADY else min(max(1.0, 2 * post.delay), LONGEST_DELAY)
        post.due = time.monotonic() + post.delay
        when = f"again in {post.delay:.0f} s" if post.delay else "again"
        self.voice.note(f"{post.name} {child.why()}; starting it {when}")

    def _lay_down(self, post: Post, child: Child) -> None:
        self._say(post, child)
        with suppress(KeyError, ValueError):
            self.selector.unregister(child.output)
        child.end()
        post.child = None

    def stop(self) -> None:
        """Stop everything softly, what others lean on last; kill what does not end in time."""
        self._stop([post for post in self.posts if not post.base], SOFT)
        self._stop([post for post in self.posts if post.base], SOFT_BASE)
        self.posts.clear()

    def _stop(self, posts: list[Post], seconds: float) -> None:
        for post in posts:
            if post.child is not None:
                post.child.ask_to_stop()
        end = time.monotonic() + seconds
        while any(post.child and not post.child.ended for post in posts):
            if self.hurry or time.monotonic() > end:
                break
            self._hear()
        for post in posts:
            if post.child is not None:
                if not post.child.ended:
                    self.voice.note(f"{post.name} did not stop in time and was killed")
                self._lay_down(post, post.child)
