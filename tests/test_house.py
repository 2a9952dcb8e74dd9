"""The house rules that a machine can check."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from service import broker
from tests.stack import ROOT, procfile

OURS = ("service", "workers")
SETTINGS = ROOT / "service" / "settings.py"
LONGEST = 300
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def nodes(*folders: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in sources(*folders):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def test_only_settings_reads_the_environment() -> None:
    def reads(node: ast.AST) -> bool:
        attribute = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
        names = {name.name for name in node.names} if isinstance(node, ast.ImportFrom) else set()
        return attribute or bool(names & {"environ", "getenv"})

    found = [(path, node) for path, node in nodes(*OURS) if path != SETTINGS and reads(node)]
    assert [place(path, node) for path, node in found if not for_children(path, node)] == []


def for_children(path: Path, node: ast.AST) -> bool:
    """What a child process is to find in its environment is written or passed on, not read."""
    line = path.read_text().splitlines()[getattr(node, "lineno", 1) - 1]
    return re.search(r"\*\*os\.environ|^ *os\.environ(\.pop\(|\.update\(|\[.*\] = )", line) is not None


def test_every_import_is_at_the_top() -> None:
    def inner(function: ast.AST) -> list[ast.AST]:
        return [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]

    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = ((path, node) for path, node in nodes(*OURS) if isinstance(node, kinds))
    assert [place(path, node) for path, function in functions for node in inner(function)] == []


def test_nothing_sleeps() -> None:
    def sleeps(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "sleep" and isinstance(node.value, ast.Name)

    assert [place(path, node) for path, node in nodes(*OURS, "tests") if sleeps(node)] == []


def test_files_are_short_and_named_by_a_noun() -> None:
    files = sources(*OURS)
    assert {str(path.relative_to(ROOT)) for path in files if path.stem in FORBIDDEN_NAMES} == set()
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lines.items() if length > LONGEST} == {}


def test_the_service_never_imports_the_workers_or_the_tests() -> None:
    def imported(node: ast.AST) -> list[str]:
        if isinstance(node, ast.ImportFrom):
            return [node.module or ""]
        return [name.name for name in node.names] if isinstance(node, ast.Import) else []

    found = ((place(path, node), name) for path, node in nodes("service") for name in imported(node))
    assert [(where, name) for where, name in found if name.split(".")[0] in ("workers", "tests")] == []


def test_every_queue_has_a_consumer() -> None:
    lists = re.findall(r"--queues (\S+)", "\n".join(" ".join(command) for command in procfile().values()))
    assert set(broker.ROUTES.values()) == {queue for queues in lists for queue in queues.split(",")}


PAPERS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs/architecture.md")


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_are_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 200


def test_the_changelog_names_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_hashes_every_pin(name: str) -> None:
    content = (ROOT / name).read_text()
    assert re.findall(r"https?:|--(?:extra-)?index|--find-links| @ ", content) == []
    blocks = re.split(r"\n(?=\S)", content.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block or "==" not in block] == []


def pinned(name: str) -> set[str]:
    return {normal(found) for found in PIN.findall((ROOT / name).read_text())}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in requirements}


def test_the_locks_cover_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert wanted(project["project"]["dependencies"]) <= pinned("requirements.lock")
    assert wanted(project["build-system"]["requires"]) <= pinned("requirements-build.lock")
    assert wanted(project["dependency-groups"]["build"]) <= pinned("requirements-build.lock")
    assert wanted(project["dependency-groups"]["dev"]) <= pinned("requirements-dev.lock")


def test_the_locks_agree() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for name in LOCKS:
        pins = re.findall(r"(?m)^([\w.-]+)==(\S+)([^\\\n]*)", (ROOT / name).read_text())
        for package, version, marker in pins:
            found.setdefault((normal(package), marker.strip()), set()).add(version)
    assert {key: versions for key, versions in found.items() if len(versions) > 1} == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_has_all_that_runs(wheel: set[str]) -> None:
    shipped = {f"service/shipped/{name}" for name in files("templates", "migrations")}
    assert len(shipped) > 10
    assert shipped | files(*OURS) | {"service/shipped/Procfile"} <= wheel


def files(*folders: str) -> set[str]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_no_tests_and_no_state(wheel: set[str]) -> None:
    strange = {name for name in wheel if not name.startswith(("service/", "workers/", "utskick-"))}
    assert strange == set()
    assert {name for name in wheel if "__pycache__" in name or name.endswith((".pyc", ".db"))} == set()
