"""Who may import whom: the floors of the house, kept by reading the source.

A room imports only from floors below its own. Imports inside functions count like others, those
for a type checker alone do not.
"""

import ast
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.server import server_environment

_ROOT = Path(__file__).parents[1]

# One room, though no folder: from an archive's bytes to what it says, and what is wrong with it.
_LOOKS_INTO_PACKAGES = " ".join(
    f"simpleindex_storage.{name}"
    for name in (
        "metadata", "inspecting", "inspection", "faults", "member_names", "metadata_rules",
        "documentation", "provenance", "record_file", "tar_walk", "wheel_files",
        "zip_directory", "zip_walk",
    )
)  # fmt: skip

FLOORS: tuple[tuple[str, ...], ...] = (
    ("simpleindex.__main__",),
    ("simpleindex.cli",),
    ("simpleindex.doctor",),
    ("simpleindex.serving",),
    ("simpleindex",),  # the face of the package, which looks up create_app and Config
    ("simpleindex.app",),
    ("simpleindex.routes", "simpleindex.gap"),
    ("simpleindex.observing",),
    ("simpleindex.counted", "simpleindex.log_lines", "simpleindex.learning"),
    ("simpleindex.search", "simpleindex.project_page", "simpleindex.audit_log"),
    ("simpleindex.devpi_dump",),
    ("simpleindex.library", "simpleindex.initialise", "simpleindex.pushing"),
    ("simpleindex.mirror", "simpleindex.releases"),
    ("simpleindex.whitelist", "simpleindex.reading", "simpleindex.handshake"),
    ("simpleindex.upstream", "simpleindex.rendered", "simpleindex.access", "simpleindex.protocol"),
    ("simpleindex.protocol_h11", "simpleindex.protocol_plain"),
    ("simpleindex.protocol_output",),
    ("simpleindex.limits", "simpleindex.api_tokens", "simpleindex.connections", "simpleindex.hot"),
    ("simpleindex.web",),
    ("simpleindex.argon2_hashes",),
    ("simpleindex.policy",),
    ("simpleindex.wire", "simpleindex.errors"),
    ("simpleindex.config",),
    (
        "simpleindex.version",
        "simpleindex.secrets_in_urls",
        "simpleindex.events",
        "simpleindex.line_writer",
        "simpleindex.archive",
    ),
    ("simpleindex_storage.backup",),
    ("simpleindex_storage.fsck",),
    ("simpleindex_storage.opening",),
    (
        "simpleindex_storage.store",
        "simpleindex_storage.rebuild",
        "simpleindex_storage.log_retention",
        "simpleindex_storage.files_disk",
        "simpleindex_storage.files_s3",
        "simpleindex_storage.catalog_sqlite",
        "simpleindex_storage.catalog_postgres",
        "simpleindex_storage.cache",
        "simpleindex_storage.counters",
        "simpleindex_storage.sightings",
    ),
    ("simpleindex_storage.cache_upkeep",),
    (
        "simpleindex_storage.cache_names",
        "simpleindex_storage.cache_parts",
        "simpleindex_storage.cache_sqlite",
        "simpleindex_storage.cache_uses",
    ),
    ("simpleindex_storage.cache_files", "simpleindex_storage.cache_transaction"),
    (
        "simpleindex_storage.sqlite_transaction",
        "simpleindex_storage.generation",
        "simpleindex_storage.failures",
        "simpleindex_storage.upkeep",
        "simpleindex_storage.privacy",
    ),
    ("simpleindex_storage.sqlite_file",),
    ("simpleindex_storage.catalog_sql", "simpleindex_storage.cache_sql"),
    ("simpleindex_storage.processes",),
    ("simpleindex_storage.journal_lines", "simpleindex_storage.state_file"),
    ("simpleindex_storage.journal", "simpleindex_storage.locks", "simpleindex_storage.records"),
    ("simpleindex_storage.plain_files", "simpleindex_storage.draft_names"),
    ("simpleindex_storage.durable",),
    ("simpleindex_storage.ports", _LOOKS_INTO_PACKAGES),
    ("simpleindex_storage.search_text",),
    ("simpleindex_storage.model",),
    ("simpleindex_storage.mirrored",),
    ("simpleindex_storage.names",),
    (
        "simpleindex_storage.errors",
        "simpleindex_storage.giving_way",
        "simpleindex_storage.version",
    ),
    ("simpleindex_storage",),
)
"""The highest first. A folder is one room, in which modules may import each other; so are several
modules in one text."""

_PURE = ("simpleindex.wire", "simpleindex.web", "simpleindex.policy")
_IMPURE = ("starlette", "uvicorn", "aiofiles", "anyio", "asyncio", "sqlite3", "socket")
_PURE_STORAGE = (
    "simpleindex_storage.model", "simpleindex_storage.names", "simpleindex_storage.errors",
    "simpleindex_storage.metadata",  # which fields there are, and what says nothing in them
    "simpleindex_storage.search_text",
)  # fmt: skip

_SERVER_SIDE = (
    "simpleindex", "starlette", "uvicorn", "anyio", "aiofiles", "h11", "httptools", "httpx2",
    "click", "python_multipart", "jinja2",
)  # fmt: skip

_BACKENDS = ("simpleindex_storage.files_*", "simpleindex_storage.catalog_*")
_STATEMENTS = "simpleindex_storage.catalog_sql"  # data, which every SQL backend reads


@dataclass(frozen=True, slots=True)
class Module:
    """A source file, and what it imports."""

    name: str
    tree: ast.Module
    imports: tuple[str, ...]


Source: TypeAlias = Mapping[str, Module]
Rule: TypeAlias = Callable[[Source], list[str]]


def read_source(root: Path) -> Source:
    """All modules of both packages below a checkout."""
    trees: dict[str, tuple[bool, ast.Module]] = {}
    for top in (root, root / "storage"):
        for path in sorted(top.glob("simpleindex*/**/*.py")):
            parts = path.relative_to(top).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            trees[name] = (is_package, ast.parse(path.read_bytes()))
    return {
        name: Module(
            name, tree, tuple(dict.fromkeys(_imports(tree, name, is_package, trees.keys())))
        )
        for name, (is_package, tree) in trees.items()
    }


def broken_floors(source: Source) -> list[str]:
    """Imports that lead up, or to a neighbour."""
    found = []
    for module in source.values():
        room, floor = _room(module.name)
        if floor is None:
            found.append(f"{module.name} has no place in the floors")
            continue
        for imported in module.imports:
            other_room, other_floor = _room(imported)
            if other_floor is not None and other_room != room and other_floor >= floor:
                found.append(f"{module.name} imports {imported}, which is not below it")
    return found


def circles(source: Source) -> list[str]:
    """Modules that import themselves by way of others."""
    found = []
    for start in source:
        waiting: list[tuple[str, tuple[str, ...]]] = [(start, (start,))]
        seen: set[str] = set()
        while waiting:
            name, way = waiting.pop()
            for imported in source[name].imports:
                if imported == start:
                    found.append(" > ".join((*way, start)))
                elif imported in source and imported not in seen:
                    seen.add(imported)
                    waiting.append((imported, (*way, imported)))
    return found


def impurities(source: Source) -> list[str]:
    """What waits or opens something in rooms that turn bytes into records and back."""
    found = []
    for module in source.values():
        if not _is_in(module.name, _PURE):
            continue
        for imported in module.imports:
            of_the_store = _is_in(imported, ("simpleindex_storage",))
            if _is_in(imported, _IMPURE) or (of_the_store and not _is_in(imported, _PURE_STORAGE)):
                found.append(f"{module.name} imports {imported}")
        if any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(module.tree)):
            found.append(f"{module.name} has an async def")
    return found


def servers_in_the_store(source: Source) -> list[str]:
    """What the store imports of the server, or of anything that only servers and clients need."""
    return [
        f"{module.name} imports {imported}"
        for module in source.values()
        for imported in module.imports
        if _is_in(module.name, ("simpleindex_storage",)) and _is_in(imported, _SERVER_SIDE)
    ]


def concrete_parts(source: Source) -> list[str]:
    """Backends that others than `opening` name, and doors that others than `app` name."""
    found = []
    for module in source.values():
        for imported in module.imports:
            is_backend = any(fnmatchcase(imported, pattern) for pattern in _BACKENDS)
            if is_backend and imported != _STATEMENTS:
                may = _is_in(module.name, ("simpleindex_storage.opening", "simpleindex.cli"))
            elif _is_in(imported, ("simpleindex.routes",)):
                may = _is_in(module.name, ("simpleindex.routes", "simpleindex.app"))
            else:
                continue
            if not may:
                found.append(f"{module.name} imports {imported}")
    return found


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (broken_floors, circles, impurities, servers_in_the_store, concrete_parts)
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    source = read_source(_ROOT)
    assert {"simpleindex.app", "simpleindex_storage.opening"} <= source.keys()
    assert rule(source) == []


@pytest.mark.parametrize(
    ("rule", "path", "text", "offence"),
    [
        pytest.param(
            broken_floors, "simpleindex/library.py", "from simpleindex.routes import simple",
            "simpleindex.library imports simpleindex.routes", id="up",
        ),
        pytest.param(
            broken_floors, "simpleindex/errors.py", "import simpleindex.wire.negotiate",
            "simpleindex.errors imports simpleindex.wire.negotiate", id="neighbour",
        ),
        pytest.param(
            broken_floors, "simpleindex/config.py", "def f():\n    from .app import x",
            "simpleindex.config imports simpleindex.app", id="deferred and relative",
        ),
        pytest.param(
            broken_floors, "storage/simpleindex_storage/store.py", "from . import files_disk",
            "simpleindex_storage.store imports simpleindex_storage.files_disk", id="to a backend",
        ),
        pytest.param(
            broken_floors, "simpleindex/attic.py", "", "simpleindex.attic has no place", id="attic",
        ),
        pytest.param(
            circles, "simpleindex/wire/a.py", "def f():\n    from simpleindex.wire import b",
            "simpleindex.wire.a > simpleindex.wire.b > simpleindex.wire.a", id="circle",
        ),
        pytest.param(
            circles, "simpleindex/config.py", "from simpleindex import create_app",
            "simpleindex.config > simpleindex > simpleindex.app > simpleindex.config", id="face",
        ),
        pytest.param(
            impurities, "simpleindex/wire/a.py", "async def f(): ...",
            "simpleindex.wire.a has an async def", id="async def",
        ),
        pytest.param(
            impurities, "simpleindex/web/a.py", "from starlette.requests import Request",
            "simpleindex.web.a imports starlette.requests", id="framework",
        ),
        pytest.param(
            impurities, "simpleindex/policy.py", "import sqlite3",
            "simpleindex.policy imports sqlite3", id="sqlite3",
        ),
        pytest.param(
            impurities, "simpleindex/wire/a.py", "from simpleindex_storage.store import Store",
            "simpleindex.wire.a imports simpleindex_storage.store", id="store",
        ),
        pytest.param(
            servers_in_the_store, "storage/simpleindex_storage/store.py",
            "from simpleindex.errors import NotFound",
            "simpleindex_storage.store imports simpleindex.errors", id="server in the store",
        ),
        pytest.param(
            servers_in_the_store, "storage/simpleindex_storage/names.py", "import starlette.status",
            "simpleindex_storage.names imports starlette.status", id="framework in the store",
        ),
        pytest.param(
            concrete_parts, "simpleindex/library.py",
            "from simpleindex_storage.catalog_sqlite import SqliteCatalog",
            "simpleindex.library imports simpleindex_storage.catalog_sqlite", id="backend",
        ),
        pytest.param(
            concrete_parts, "simpleindex/cli/serve.py", "import simpleindex.routes.files",
            "simpleindex.cli.serve imports simpleindex.routes.files", id="door",
        ),
    ],
)  # fmt: skip
def test_an_offender_is_named(
    rule: Rule, path: str, text: str, offence: str, tmp_path: Path
) -> None:
    usual = {
        "simpleindex/__init__.py": "def f():\n    from simpleindex.app import create_app",
        "simpleindex/app.py": "from simpleindex.config import Config",
        "simpleindex/config.py": "",
        "simpleindex/wire/b.py": "from simpleindex.wire.a import x",
        "storage/simpleindex_storage/files_disk.py": "",
    }
    for name, content in (usual | {path: text}).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert [line for line in rule(read_source(tmp_path)) if offence in line]


def test_imports_for_type_checkers_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "simpleindex").mkdir()
    (tmp_path / "simpleindex" / "config.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from simpleindex.app import create_app\n"
    )
    assert broken_floors(read_source(tmp_path)) == []


@pytest.mark.parametrize(
    ("imported", "forbidden"),
    [
        (
            "simpleindex",
            ["starlette", "uvicorn", "anyio", "click", "sqlite3", "simpleindex_storage.model"],
        ),
        (
            "simpleindex.app",
            [
                "jinja2", "markdown_it", "resolvelib", "httpx2", "click", "uvicorn",
                "simpleindex.cli", "simpleindex.gap",
            ],
        ),
    ],
)  # fmt: skip
def test_an_import_loads_only_what_it_needs(imported: str, forbidden: Sequence[str]) -> None:
    program = f"import sys, {imported}; print(*sys.modules, sep='\\n')"
    finished = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        env=server_environment(),
        text=True,
    )
    loaded = finished.stdout.splitlines()
    assert imported in loaded
    assert [name for name in loaded if _is_in(name, forbidden)] == []


def _imports(tree: ast.AST, name: str, is_package: bool, known: Collection[str]) -> Iterator[str]:
    """The modules that are imported, `from package import module` among them."""
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                module = f"{base}.{alias.name}"
                if module in known:
                    yield module
                else:
                    yield base


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _runtime_nodes(node)


def _room(module: str) -> tuple[str, int | None]:
    """The room that a module lies in, and how far up that is; None for what is not ours."""
    for height, floor in enumerate(reversed(FLOORS)):
        for room in floor:
            for name in room.split():
                is_face = "." not in name
                if module == name or (not is_face and module.startswith(f"{name}.")):
                    return room, height
    return module, None


def _is_in(module: str, rooms: Sequence[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)
