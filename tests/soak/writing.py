"""What clients change: each writes its own files alone, and looks at once for what it did."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.bad_archives import BadArchive
from tests.builders import BuiltFile, a_wheel, an_sdist, an_upload_body, core_metadata
from tests.server import RunningServer, server_environment, simpleindex
from tests.soak.model import VOLATILE_INDEX, FileState, Slot, WrongAnswer
from tests.soak.reading import Action, Reader
from tests.soak.session import Session, basic, break_off, by_token

ADD_SECONDS_MAX = 60.0

_BROKEN_BYTES = 3_000_000
"""Of an upload that breaks off: enough that the server has written a part of it to the disk."""
_WHEEL_SIZES = (100, 3_000, 3_000, 20_000, 20_000, 100_000, 400_000)


@dataclass(frozen=True, slots=True)
class Name:
    """Of a file that a client will write again and again."""

    project: str
    version: str
    is_wheel: bool = True

    def build(self, chance: Random, payload_bytes: int | None = None) -> BuiltFile:
        """A file of this name with bytes that no other has."""
        size_bytes = chance.choice(_WHEEL_SIZES) if payload_bytes is None else payload_bytes
        if not self.is_wheel:
            description = chance.randbytes(min(size_bytes, 20_000) + 16).hex()
            metadata = core_metadata(self.project, self.version, description=description)
            return an_sdist(self.project, self.version, metadata=metadata)
        module = self.project.replace("-", "_")
        return a_wheel(
            self.project,
            self.version,
            requires_python=chance.choice((None, ">=3.8")),
            extra_files={f"{module}/payload.bin": chance.randbytes(size_bytes + 16)},
        )


@dataclass(slots=True)
class Owned:
    """A file that one client writes."""

    name: Name
    slot: Slot
    built: BuiltFile
    """The bytes that are stored."""


class Writer:
    """A client that uploads, yanks, logs in, and does all that wrongly, too."""

    def __init__(
        self,
        session: Session,
        reader: Reader,
        chance: Random,
        *,
        password: str,
        owned: Sequence[Owned],
        stock: Sequence[tuple[Slot, Name]],
        bad_archives: Sequence[BadArchive],
    ) -> None:
        self._session = session
        self._reader = reader
        self._chance = chance
        self._password = password
        self._owned = owned
        self._stock = stock
        self._bad_archives = bad_archives
        # What a refusal takes of memory, it is to take in the warm-up.
        self._unsent = bad_archives
        self._login = basic("root", password)
        self._numbers = count()

    def actions(self) -> list[Action]:
        """5 of 100 parts of all that is done."""
        return [
            Action("upload", 1.8, self._upload_other_bytes),
            Action("upload again", 0.6, self._upload_again),
            Action("upload to a taken name", 0.6, self._upload_to_a_taken_name),
            Action("bad archive", 0.5, self._upload_bad_archives),
            Action("yank", 0.9, self._yank_or_unyank),
            Action("broken upload", 0.5, self._broken_upload),
            Action("login", 0.1, self._log_in),
        ]

    def _upload_other_bytes(self) -> None:
        """Under a name of its own, in the volatile index: the old bytes give way."""
        owned = self._chance.choice(self._owned)
        built = owned.name.build(self._chance)
        before = self._session.serial
        owned.slot.begin(FileState.of(built))
        self._post("upload", VOLATILE_INDEX, built, 200)
        owned.slot.settle()
        owned.built = built
        self._require_later_than(before)
        self._reader.look_at(owned.slot.project)
        self._reader.download(owned.slot)

    def _upload_again(self) -> None:
        owned = self._chance.choice(self._owned)
        self._post("upload again", VOLATILE_INDEX, owned.built, 200)
        self._reader.look_at(owned.slot.project)

    def _upload_to_a_taken_name(self) -> None:
        """In the index that never replaces a file."""
        slot, name = self._chance.choice(self._stock)
        text = self._post("upload to a taken name", slot.index, name.build(self._chance), 409)
        if slot.filename not in text:
            raise WrongAnswer(f"the refusal of {slot.filename} does not name it: {text}")
        self._reader.look_at(slot.project)

    def _upload_bad_archives(self) -> None:
        """Each of them once at first, and then now and then one."""
        unsent, self._unsent = self._unsent, ()
        for bad in unsent or [self._chance.choice(self._bad_archives)]:
            text = self._post("bad archive", VOLATILE_INDEX, bad.build(), 400)
            if bad.words not in text:
                raise WrongAnswer(f"{bad.id} was refused with other words: {text}")

    def _yank_or_unyank(self) -> None:
        slot = self._chance.choice(self._owned).slot
        reason = f"it fails in {next(self._numbers)} ways" if slot.now.yanked is None else None
        before = self._session.serial
        slot.begin(slot.now.yanked_for(reason))
        self._session.ask(
            "yank",
            f"/{slot.index}/{slot.project}/{slot.version}",
            self._login,
            method="PATCH",
            body=json.dumps({"yanked": reason or False}).encode(),
        )
        slot.settle()
        self._require_later_than(before)
        self._reader.look_at(slot.project)

    def _broken_upload(self) -> None:
        """Its end never comes, so its bytes must not be seen."""
        slot = self._chance.choice(self._owned).slot
        content_type, body = self._long_form
        connection = self._session.another_connection()
        headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **self._login}
        try:
            with self._session.timed("broken upload"):
                connection.putrequest("POST", f"/{VOLATILE_INDEX}/")
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body[: self._chance.randrange(len(body) * 9 // 10)])
        finally:
            break_off(connection, rudely=self._chance.random() < 0.5)
        self._reader.look_at(slot.project)

    @cached_property
    def _long_form(self) -> tuple[str, bytes]:
        # Made once: a new one of this size each time would keep the client busy, not the server.
        return an_upload_body(self._owned[0].name.build(self._chance, _BROKEN_BYTES))

    def _log_in(self) -> None:
        """And use the login's token or the password from then on."""
        body = json.dumps({"user": "root", "password": self._password}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._session.ask("login", "/+login", headers, method="POST", body=body)
        token = json.loads(answer.body)["result"]["password"]
        logins = by_token("root", token), basic("root", token), basic("root", self._password)
        self._login = self._chance.choice(logins)

    def _post(self, kind: str, index: str, built: BuiltFile, expected: int) -> str:
        content_type, body = an_upload_body(built)
        headers = {**self._login, "Content-Type": content_type}
        answer = self._session.ask(
            kind, f"/{index}/", headers, method="POST", body=body, expected=(expected,)
        )
        return answer.body.decode()

    def _require_later_than(self, serial: int) -> None:
        if self._session.serial <= serial:
            raise WrongAnswer(f"a change was acknowledged at serial {self._session.serial}")


class Adder:
    """Somebody on the same host who runs `simpleindex-server add` while the server runs."""

    def __init__(
        self, server: RunningServer, reader: Reader, session: Session, chance: Random
    ) -> None:
        self._server = server
        self._reader = reader
        self._session = session
        self._chance = chance

    def add(self, kind: str, owned: Sequence[Owned]) -> None:
        """Replace all these files in one go, and look for them."""
        built = [each.name.build(self._chance) for each in owned]
        for each, file in zip(owned, built, strict=True):
            each.slot.begin(FileState.of(file))
        with self._session.timed(kind):
            add_files(self._server.serverdir, VOLATILE_INDEX, built)
        for each, file in zip(owned, built, strict=True):
            each.slot.settle()
            each.built = file
        for each in owned:
            self._reader.look_at(each.slot.project)
            self._reader.download(each.slot)
        self._session.hang_up()  # the server does not wait until the next time


def add_files(serverdir: Path, index: str, built: Sequence[BuiltFile]) -> None:
    """`simpleindex-server add` of a folder with these files. Raises WrongAnswer."""
    with TemporaryDirectory(dir=serverdir.parent, prefix="to-add-") as folder:
        for each in built:
            each.save(Path(folder))
        command = simpleindex("add", folder, f"--serverdir={serverdir}", f"--index={index}")
        done = subprocess.run(
            command,
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ADD_SECONDS_MAX,
            check=False,
        )
    if done.returncode != 0:
        raise WrongAnswer(f"add ended with {done.returncode}: {done.stdout}{done.stderr}")
