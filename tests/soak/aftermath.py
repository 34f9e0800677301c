"""What a server must have kept, and must not have left, when all is over."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urljoin

from tests.server import RunningServer
from tests.soak import pages
from tests.soak.model import STOCK_INDEX, VOLATILE_INDEX, Model, Slot, WrongAnswer
from tests.soak.sampling import left_in_incoming
from tests.soak.session import Ledger, Session


def broken_promises(server: RunningServer, model: Model) -> list[str]:
    """Where a server that was started again shows or keeps something else than it must.

    Nothing else may be going on.
    """
    session = Session(server.port, Ledger())
    try:
        return [
            *(line for index in (STOCK_INDEX, VOLATILE_INDEX)
              for line in _broken_list(session, model, index)),
            *(line for project in model.projects for line in _broken_page(session, model, project)),
            *(line for slot in model.slots for line in _broken_file(session, slot)),
            *strays(server.serverdir, model),
        ]  # fmt: skip
    except (OSError, HTTPException) as error:
        return [f"the server that was started again does not answer: {error!r}"]
    finally:
        session.hang_up()


def broken_at_rest(serverdir: Path) -> list[str]:
    """What is wrong with the directory of a server that has ended, and what it has complained of.

    Its log lies beside it, as `tests.server` has it.
    """
    left = [path.relative_to(serverdir) for path in left_in_incoming(serverdir)]
    folders = [path for path in (serverdir / "incoming").iterdir() if path.is_dir()]
    log = serverdir.with_name(f"{serverdir.name}.log").read_text("utf-8", "replace")
    return [
        *(f"{path} is left over" for path in left),
        *(f"incoming/{path.name} is left over" for path in folders),
        *_broken_catalog(serverdir / "catalog.sqlite"),
        *([f"the server's log tells of a failure: {log[-2000:]}"] if "Traceback" in log else []),
    ]


def strays(serverdir: Path, model: Model) -> list[str]:
    """Files without a record: what was replaced in a volatile index must not fill the disk."""
    root = serverdir / "files"
    there = {f"/{path.relative_to(root).as_posix()}" for path in root.rglob("*") if path.is_file()}
    recorded = {slot.path_of(slot.now) for slot in model.slots}
    recorded |= {f"{path}.metadata" for path in recorded}  # of sdists, too, although not announced
    return [f"files{name} lies there without a record" for name in sorted(there - recorded)]


def _broken_list(session: Session, model: Model, index: str) -> Iterator[str]:
    path = f"/{index}/+simple/"
    try:
        answer = session.ask("list", path, {"Accept": pages.JSON})
        names = pages.projects_on(answer.content_type, path, answer.body)
    except WrongAnswer as error:
        yield f"after the restart: {error}"
        return
    for name in sorted(names ^ model.shown_at(index)):
        yield f"after the restart the list of {index} is wrong about {name}"


def _broken_page(session: Session, model: Model, project: str) -> Iterator[str]:
    expectation = model.expect(project)
    for index in model.indexes_of(project):
        path = f"/{index}/+simple/{project}/"
        try:
            answer = session.ask("page", path, {"Accept": pages.JSON})
            expectation.check(pages.files_on(answer.content_type, path, answer.body))
        except WrongAnswer as error:
            yield f"after the restart: {error}"


def _broken_file(session: Session, slot: Slot) -> Iterator[str]:
    path = slot.path_of(slot.now)
    for part, sha256 in (("", slot.now.sha256), (".metadata", slot.now.metadata_sha256)):
        if sha256 is None:
            continue
        try:
            answer = session.ask("file", urljoin(path, f"{slot.filename}{part}"))
        except WrongAnswer as error:
            yield f"after the restart: {error}"
            continue
        if hashlib.sha256(answer.body).hexdigest() != sha256:
            yield f"after the restart {path}{part} has other bytes"


def _broken_catalog(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"the catalog is damaged: {line}"
        for row in connection.execute("PRAGMA foreign_key_check"):
            yield f"the catalog refers to what is not there: {row}"
