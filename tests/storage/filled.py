"""A directory in which everything has happened that a fact of the journal tells of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from simpleindex_storage import upkeep
from simpleindex_storage.model import (
    Actor,
    ApiToken,
    Delivery,
    Index,
    MirrorSettings,
    ProjectStatus,
    User,
)
from simpleindex_storage.names import IndexName, UserName, parse_project_name
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store
from tests.builders import a_wheel, an_sdist
from tests.storage.stores import (
    LOCAL,
    NOW,
    a_result,
    a_stage,
    a_store,
    attach,
    documentation,
    send,
)

BY = Actor("root", "console")
ROOT = User(UserName("root"), "a hash", 1, NOW)
TOKEN = ApiToken("1a2b", ROOT.name, "robot", "ab" * 32, NOW)
DEV = IndexName("alice/dev")
DEMO, ART = parse_project_name("demo"), parse_project_name("art")


def change(store: Store, work: Callable[[Change], object]) -> None:
    store.catalog.change(work, by=BY, what="test")


def fill(root: Path) -> None:
    """A directory in which everything has happened that a fact tells of."""
    alice = User(UserName("alice"), "another hash", 1, NOW, profile={"email": "a@b.example"})
    far = Index(IndexName("root/far"), MirrorSettings(mirror_url="https://me:pw@far.example/"))
    with a_store(root, a_stage()) as store:
        change(store, lambda it: it.put_user(ROOT))
        change(store, lambda it: it.put_user(alice))
        change(store, lambda it: it.put_user(replace(alice, password_version=2, modified_at=NOW)))
        change(store, lambda it: it.put_token(replace(TOKEN, user=alice.name)))
        change(store, lambda it: it.put_token(replace(TOKEN, id="gone", sha256="cd" * 32)))
        change(store, lambda it: it.remove_token(replace(TOKEN, id="gone", sha256="cd" * 32)))
        change(store, lambda it: it.put_index(a_stage(DEV, volatile=True)))
        change(store, lambda it: it.put_index(far))
        tested = send(store, a_wheel("Demo", requires_python=">=3.8")).file
        send(store, an_sdist("demo", "2.0"))
        send(store, a_wheel("demo", "1.0"), DEV)
        send(store, a_wheel("demo", "1.0", requires_python=">=3.9"), DEV)  # replaced
        for name in ("art", "gone"):
            send(store, a_wheel(name), sender="")
        attach(store, documentation(), b"the pages")
        attach(store, a_result(tested), b"{}")
        attach(store, a_result(tested, number=1), b"{}")
        attachment = store.catalog.snapshot
        with attachment() as seen:
            last = seen.attachments(LOCAL, DEMO)[-1]
        change(store, lambda it: upkeep.remove_attachment(it, last))
        change(store, lambda it: upkeep.yank_release(it, LOCAL, DEMO, "1.0", "bad"))
        change(store, lambda it: upkeep.yank_release(it, LOCAL, DEMO, "2.0", ""))
        change(store, lambda it: upkeep.yank_release(it, LOCAL, DEMO, "2.0", None))
        change(store, lambda it: upkeep.mark_project(it, LOCAL, ART, ProjectStatus.ARCHIVED, "old"))
        change(store, lambda it: upkeep.remove_project(it, LOCAL, parse_project_name("gone")))
        send(store, a_wheel("given-up"))
        given_up = parse_project_name("given-up")
        change(store, lambda it: upkeep.remove_project(it, LOCAL, given_up))
        change(store, lambda it: it.forget_former(LOCAL, given_up))
        change(store, lambda it: it.put_user(replace(alice, name=UserName("bob"))))
        change(store, lambda it: it.put_index(a_stage(IndexName("bob/dev"))))
        send(store, a_wheel(), IndexName("bob/dev"))
        change(store, lambda it: upkeep.remove_user(it, UserName("bob")))
        change(store, lambda it: it.put_delivery(Delivery(NOW, "root", "some", {"of": ["it"]})))
        change(store, lambda it: it.put_delivery(Delivery(NOW, "root", "more", {})))
        change(store, lambda it: it.undo_delivery(it.serial))
        store.sweep()
