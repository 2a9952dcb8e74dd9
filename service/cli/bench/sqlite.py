"""SQLite files in a folder of the bench's own."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path


class Sqlite:
    """Makes database files; the service's own processes do the work of the server."""

    embedded_broker = True
    label = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(mode=0o700)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def make(self, name: str) -> str:
        """Return the URL of a file that is made when it is first opened."""
        return f"sqlite:///{self._path(name)}"

    def settle(self, name: str) -> None:
        """Bring what the log still holds into the file itself."""
        with closing(sqlite3.connect(self._path(name))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self, template: str, name: str) -> str:
        """Make a database like another and return its URL; it is on disk before anything is measured."""
        shutil.copy(self._path(template), self._path(name))
        with self._path(name).open("rb+") as file:
            os.fsync(file.fileno())
        return self.make(name)

    def drop(self, name: str) -> None:
        """Remove a database."""
        for path in self.folder.glob(f"{name}.db*"):
            path.unlink()

    def cpu(self) -> None:
        """There is no server that could use any."""

    def close(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)
