"""VAR_DIR: made, held by one `up` at a time, and the keys that are made in it once."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.settings import Settings

LOCK = "up.lock"
SITE_FILE = "site.url"


class Refused(Exception):
    """It cannot start; the text is one clear line for the operator."""


@contextmanager
def hold(var_dir: Path) -> Iterator[bool]:
    """Hold the directory, making it if need be; give True where the last holder did not end cleanly."""
    try:
        var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(var_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"UTSKICK_VAR_DIR: cannot write in {var_dir} ({_reason(error)})") from None
    try:
        yield _take(lock, var_dir)
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _reason(error: OSError) -> str:
    taken = (errno.EEXIST, errno.ENOTDIR)
    return "it is not a directory" if error.errno in taken else (error.strerror or "unknown error").lower()


def _take(lock: int, var_dir: Path) -> bool:
    holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Refused(f"already running in {var_dir} (pid {holder or 'unknown'})") from None
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise Refused(f"UTSKICK_VAR_DIR: cannot write in {var_dir} ({_reason(error)})") from None
    return bool(holder)


def write_private(path: Path, text: str) -> None:
    """Write a small file that only we may read, whole or not at all."""
    unready = path.with_name(f".{path.name}.new")
    unready.unlink(missing_ok=True)
    made = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(made, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unready.replace(path)


def announce_site(config: Settings) -> None:
    """Write the site's address where every command finds it, so that the links of all mail agree."""
    write_private(config.var_dir / SITE_FILE, config.site + "\n")


def withdraw_site(var_dir: Path) -> None:
    """Take the address away, after a clean stop."""
    (var_dir / SITE_FILE).unlink(missing_ok=True)


def make_keys(config: Settings, *, followed: bool) -> None:
    """Make the keys that are missing; refuse a new ADDRESS_KEY where addresses are known."""
    wanted = {"secret.key": config.secret_key, "address.key": config.address_key}
    for name, given in wanted.items():
        path = config.var_dir / name
        if given.get_secret_value() or (path.is_file() and path.read_text(encoding="utf-8").strip()):
            continue
        if name == "address.key" and followed:
            raise Refused(
                f"{path} is missing, but the database holds followers: put it back from the backup "
                "(it is never made anew: no address would be recognised)"
            )
        write_private(path, secrets.token_urlsafe(32) + "\n")
