"""What is taken out of a dump, and what is said of the rest."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.devpi_dump.reading import parse_dump
from simpleindex.devpi_dump.records import UNUSABLE_HASH, Dump, DumpedProject
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Event, LogEntry, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName
from tests.builders import a_wheel
from tests.devpi_dump.dumps import ALICE_ARGON2, WHEN, ADump, a_user

DEV = IndexName("root/dev")
AT = datetime(2024, 2, 29, 13, 2, 46, tzinfo=UTC)


def read(dump: ADump, **changed: object) -> Dump:
    return parse_dump((dump.write(**changed) / "dataindex.json").read_bytes(), dump.folder)


def project_of(dump: Dump, index: IndexName = DEV) -> DumpedProject:
    (found,) = [each for each in dump.indexes if each.name == index]
    (project,) = found.projects
    return project


def lost(dump: Dump) -> dict[str, str]:
    return {note.subject: note.text for note in dump.notes if note.is_lost}


def test_users_come_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.users["alice"] = a_user(
        "alice",
        pwhash=ALICE_ARGON2,
        modified="2024-02-01T01:02:03Z",
        email="a@example.org",
        custom_data={"team": ["a"]},
    )
    users = {user.name: user for user in read(dump).users}
    alice = users[next(name for name in users if name == "alice")]
    assert alice.password_hash == ALICE_ARGON2
    assert alice.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert alice.modified_at == datetime(2024, 2, 1, 1, 2, 3, tzinfo=UTC)
    assert alice.profile == {"email": "a@example.org", "custom_data": {"team": ["a"]}}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pwhash": None},
        {"pwhash": "4a5b6c", "pwsalt": "salt"},
        {"pwhash": ALICE_ARGON2, "pwsalt": "salt"},
        {"pwhash": ALICE_ARGON2 * 10},
        {"pwhash": ["$argon2id$"]},
    ],
    ids=["none", "null", "salted", "both", "long", "list"],
)
def test_a_password_of_an_old_form_is_not_usable(
    changed: dict[str, object], tmp_path: Path
) -> None:
    (root,) = read(ADump(tmp_path, users={"root": a_user("root", **changed)})).users
    assert root.password_hash == UNUSABLE_HASH


def test_a_user_without_a_time_was_made_long_ago(tmp_path: Path) -> None:
    (root,) = read(ADump(tmp_path, users={"root": {"created": "yesterday"}})).users
    assert root.created_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_bases_come_before_what_is_built_on_them(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.index("root/top", bases=["root/middle", "root/top"])
    dump.index("root/middle", bases=["root/bottom"])
    dump.index("root/bottom")
    names = [index.name for index in read(dump).indexes]
    assert names == ["root/bottom", "root/middle", "root/top"]


def test_a_circle_of_bases_is_kept(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.index("root/a", bases=["root/b"])
    dump.index("root/b", bases=["root/a"])
    result = read(dump)
    bases = {index.name: index.settings for index in result.indexes}
    assert {name: getattr(settings, "bases", ()) for name, settings in bases.items()} == {
        "root/a": ("root/b",),
        "root/b": ("root/a",),
    }
    assert result.notes == ()


def test_bases_that_the_dump_lacks_are_kept_with_a_remark(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.index("root/dev", bases="root/gone,root/dev")
    result = read(dump)
    (index,) = result.indexes
    assert isinstance(index.settings, StageSettings)
    assert index.settings.bases == ("root/gone", "root/dev")
    (note,) = result.notes
    assert (note.subject, note.is_lost) == ("index root/dev", False)
    assert "root/gone" in note.text


def test_the_settings_of_a_stage_are_taken(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.index(
        "root/dev",
        volatile="no",
        acl_upload="alice, :anonymous:",
        pypi_whitelist=["Some.Project", "*"],
        title="Mine",
        uploadtrigger_jenkins=None,
        trigger={"url": "http://ci.example"},
    )
    del dump.indexes["root/dev"]["indexconfig"]["mirror_whitelist"]
    result = read(dump)
    (index,) = result.indexes
    assert index.settings == StageSettings(
        volatile=False,
        acl_upload=("alice", ":ANONYMOUS:"),
        mirror_whitelist=("some-project", "*"),
        extra={"title": "Mine", "trigger": {"url": "http://ci.example"}},
    )
    (note,) = result.notes
    assert (note.is_lost, note.text) == (
        False,
        "its setting trigger is kept, and has no effect here",
    )


def test_the_settings_of_a_mirror_are_taken_and_its_files_are_reported(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.release("root/pypi", a_wheel())
    dump.indexes["root/pypi"]["indexconfig"] = {
        "type": "mirror",
        "volatile": False,
        "mirror_url": "https://upstream.example/simple/",
        "mirror_cache_expiry": "600",
        "mirror_no_project_list": True,
        "bases": ["root/dev"],
        "title": "Upstream",
    }
    result = read(dump)
    (index,) = result.indexes
    assert index.settings == MirrorSettings(
        volatile=False,
        mirror_url="https://upstream.example/simple/",
        mirror_cache_expiry_seconds=600,
        mirror_no_project_list=True,
        extra={"title": "Upstream"},
    )
    assert list(lost(result)) == ["index root/pypi"]
    assert "1 files" in lost(result)["index root/pypi"]


def test_a_file_comes_with_its_time_author_and_history(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    log = [
        {"what": "overwrite", "who": None, "when": WHEN, "count": 2},
        {"what": "upload", "who": "alice", "when": WHEN, "dst": "alice/dev"},
        {"what": "push", "who": "bob", "when": WHEN, "src": "alice/dev", "dst": "root/dev"},
    ]
    built = a_wheel()
    dump.release("root/dev", built, metadata={"summary": "It is one"}, log=log)
    (file,) = project_of(read(dump)).files
    assert (file.filename, file.promised) == (built.filename, {"sha256": built.sha256})
    assert (file.uploaded_at, file.uploaded_by) == (AT, "alice")
    assert file.fields == {"name": "demo", "version": "1.0", "summary": "It is one"}
    assert file.log == (
        LogEntry(Event.OVERWRITE, None, AT, count=2),
        LogEntry(Event.UPLOAD, "alice", AT, target=IndexName("alice/dev")),
        LogEntry(
            Event.PUSH, "bob", AT, source=IndexName("alice/dev"), target=IndexName("root/dev")
        ),
    )


@pytest.mark.parametrize(
    ("mapping", "promised"),
    [
        ({"md5": "AB" * 16}, {"md5": "ab" * 16}),
        ({"hash_spec": "md5=" + "ab" * 16}, {"md5": "ab" * 16}),
        ({"hash_spec": "sha256=" + "ab" * 32}, {"sha256": "ab" * 32}),
        ({"hashes": {"sha512": "ab" * 64, "sha256": "ab" * 32}}, {"sha256": "ab" * 32}),
        ({"hashes": {"sha256": "short", "md5": 5}}, {}),
        ({"hashes": ["sha256"], "hash_spec": 7}, {}),
        (None, {}),
    ],
    ids=["md5", "md5 spec", "sha256 spec", "several", "senseless", "kinds", "none"],
)
def test_digests_are_read_in_all_their_forms(
    mapping: object, promised: dict[str, str], tmp_path: Path
) -> None:
    dump = ADump(tmp_path)
    dump.release("root/dev", a_wheel(), entrymapping=mapping)
    (file,) = project_of(read(dump)).files
    assert file.promised == promised


def test_spellings_of_a_project_are_brought_together(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.release("root/dev", a_wheel("zeta.pkg", "1.0"), projectname="Zeta.Pkg")
    dump.release("root/dev", a_wheel("zeta_pkg", "2.0"), projectname="zeta_pkg")
    projects = dump.indexes["root/dev"]["projects"]
    projects["Zeta.Pkg"] = {"3.0": {"name": "Zeta.Pkg", "summary": "early"}}
    project = project_of(read(dump))
    assert project.name == "zeta-pkg"
    assert len(project.files) == 2
    (bare,) = project.bare_releases
    assert (bare.version, bare.display_name) == ("3.0", "Zeta.Pkg")
    assert bare.fields == {"name": "Zeta.Pkg", "version": "3.0", "summary": "early"}


def test_in_an_old_dump_the_file_name_tells_the_version(tmp_path: Path) -> None:
    dump, built = ADump(tmp_path), a_wheel("demo", "1.0")
    dump.release("root/dev", built, metadata={"summary": "old", "+elinks": [], ":action": "x"})
    dump.documentation("root/dev", "demo", "1.0", b"zip", entrymapping=None, log=None)
    dump.result("root/dev", built, b"{}", entrymapping=None)
    for entry in dump.indexes["root/dev"]["files"]:
        del entry["version"]
    project = project_of(read(dump, dumpversion="1"))
    (file,) = project.files
    assert file.fields == {"name": "demo", "version": "1.0", "summary": "old"}
    assert [each.version for each in project.attachments] == ["1.0", "1.0"]
    assert [each.uploaded_at for each in project.attachments] == [None, AT]
    assert project.bare_releases == ()


def test_a_wrong_digest_of_a_result_is_ignored(tmp_path: Path) -> None:
    dump, built = ADump(tmp_path), a_wheel()
    dump.release("root/dev", built)
    of_the_file = {"hashes": {"sha256": built.sha256}}
    dump.result("root/dev", built, b"{}", entrymapping=of_the_file)
    (result,) = project_of(read(dump)).attachments
    assert result.promised == {}
    assert result.about == built.filename


def test_documentation_is_named_by_its_release_whatever_its_file_is_called(tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.index("root/dev")
    dump.documentation("root/dev", "Demo", "1.0.0", b"zip", relpath="root/dev/Some-Thing.doc.zip")
    (documentation,) = project_of(read(dump)).attachments
    assert documentation.filename == "demo-1.0.0.doc.zip"
    assert documentation.relpath == "root/dev/Some-Thing.doc.zip"


@pytest.mark.parametrize(
    "relpath",
    [
        "../outside-1.0.tar.gz",
        "/etc/outside-1.0.tar.gz",
        "root/../../outside-1.0.tar.gz",
        "root\\outside-1.0.tar.gz",
        "C:outside-1.0.tar.gz",
        "root/dev/out\0side-1.0.tar.gz",
        "",
        None,
        ["root"],
    ],
    ids=repr,
)
def test_a_path_that_leads_out_of_the_dump_is_not_followed(relpath: object, tmp_path: Path) -> None:
    dump = ADump(tmp_path)
    dump.release("root/dev", a_wheel())
    dump.indexes["root/dev"]["files"][0]["relpath"] = relpath
    result = read(dump)
    assert project_of(result).files == ()
    (text,) = lost(result).values()
    assert "it does not lie below the dump" in text


def _two_users(dump: ADump) -> None:
    dump.users["Root"] = a_user("Root")


def _odd_user(dump: ADump) -> None:
    dump.users["caf\u00e9"] = a_user("caf\u00e9")


def _plugins_user(dump: ADump) -> None:
    dump.users["root"]["ldap"] = {"dn": "x"}


def _deep_user(dump: ADump) -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    dump.users["root"]["custom_data"] = deep


def _odd_index(dump: ADump) -> None:
    dump.release("root/d\u00e9v", a_wheel())


def _plugins_index(dump: ADump) -> None:
    dump.index("root/other", type="constrained")


def _nobodys_index(dump: ADump) -> None:
    dump.index("bob/dev")


def _two_indexes(dump: ADump) -> None:
    dump.index("root/dev")
    dump.index("root/DEV")


def _odd_setting(dump: ADump) -> None:
    dump.index("root/dev", acl_upload={"a": 1})


def _odd_base(dump: ADump) -> None:
    dump.index("root/dev", bases=["nowhere"])


def _odd_type(dump: ADump) -> None:
    dump.release("root/dev", a_wheel(), type="sbom")


def _odd_version(dump: ADump) -> None:
    dump.index("root/dev")
    dump.indexes["root/dev"]["projects"]["demo"] = {"one": {"name": "demo"}}


def _odd_project(dump: ADump) -> None:
    dump.index("root/dev")
    dump.indexes["root/dev"]["projects"]["d\u00e9mo"] = {}


def _odd_file(dump: ADump) -> None:
    dump.release("root/dev", a_wheel())
    dump.indexes["root/dev"]["files"][0]["relpath"] = "root/dev/demo/1.0/setup.exe"


def _twice(dump: ADump) -> None:
    dump.release("root/dev", a_wheel())
    again = dump.release("root/dev", a_wheel())
    again["relpath"] = "root/dev/demo/1.0/Demo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("spoil", "subject", "text"),
    [
        (_two_users, "user Root", "differs only in case"),
        (_odd_user, "user caf\u00e9", "a name begins with a letter or digit"),
        (_plugins_user, "user root", "ldap"),
        (_deep_user, "user root", "custom_data"),
        (_odd_index, "index root/d\u00e9v", "the 1 files in it"),
        (_plugins_index, "index root/other", "of the type constrained"),
        (_nobodys_index, "index bob/dev", "its user was not taken over"),
        (_two_indexes, "index root/DEV", "differs only in case"),
        (_odd_setting, "index root/dev", "its setting acl_upload makes no sense"),
        (_odd_base, "index root/dev", "not among its bases"),
        (_odd_type, "root/dev/demo/1.0/demo-1.0-py3-none-any.whl", "of the type sbom"),
        (_odd_version, "root/dev: demo one", "not a version"),
        (_odd_project, "root/dev: project d\u00e9mo", "a name is made of ASCII letters"),
        (_odd_file, "root/dev/demo/1.0/setup.exe", "only wheels"),
        (_twice, "root/dev/demo/1.0/Demo-1.0-py3-none-any.whl", "another file has the same name"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_makes_no_sense_here_is_told_and_the_rest_is_taken(
    spoil: Callable[[ADump], None], subject: str, text: str, tmp_path: Path
) -> None:
    dump = ADump(tmp_path)
    spoil(dump)
    dump.release("root/good", a_wheel("good"))
    result = read(dump)
    assert text in lost(result)[subject]
    assert len(project_of(result, IndexName("root/good")).files) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[]", "a JSON object is needed"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' * 100_000, "not valid JSON"),
        (b'{"dumpversion": "3", "users": {}, "indexes": {}}', "its dumpversion is 3"),
        (b'{"users": {}, "indexes": {}}', "its dumpversion is None"),
        (b'{"dumpversion": "2", "users": [], "indexes": {}}', "no users or no indexes"),
        (b'{"dumpversion": "2", "users": {}}', "no users or no indexes"),
        (b'{"dumpversion": 1' + b"0" * 10_000 + b"}", "not valid JSON"),
        (b'{"dumpversion": "2", "users"', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
    ids=["empty", "list", "deep", "deeper", "newer", "other", "users", "indexes", "digits", "cut",
         "bytes"],
)  # fmt: skip
def test_what_is_no_dump_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        parse_dump(content, tmp_path)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_KEYS = (
    "username", "created", "modified", "custom_data", "pwhash", "indexconfig", "projects", "files",
    "type", "bases", "volatile", "acl_upload", "relpath", "projectname", "version", "entrymapping",
    "hashes", "hash_spec", "last_modified", "log", "what", "when", "who", "for_entrypath", "demo",
    "1.0", "name", "summary", "classifiers", "root/dev", "root",
)  # fmt: skip


@given(st.data())
def test_whatever_stands_in_a_dump_no_other_error_comes_out(data: st.DataObject) -> None:
    usual = ADump(Path())
    content: dict[str, Any] = {
        "dumpversion": data.draw(st.sampled_from(["1", "2"])),
        "users": usual.users,
        "indexes": {
            "root/dev": {
                "indexconfig": {"type": "stage"},
                "projects": {"demo": {"1.0": {"name": "demo"}}},
                "files": [
                    {
                        "type": data.draw(st.sampled_from(["releasefile", "doczip", "toxresult"])),
                        "projectname": "demo",
                        "version": "1.0",
                        "relpath": "root/dev/demo/1.0/demo-1.0.tar.gz",
                        "entrymapping": {"last_modified": "Thu, 29 Feb 2024 13:02:46 GMT"},
                        "for_entrypath": "root/dev/demo-1.0.tar.gz",
                        "log": [{"what": "upload", "who": "root", "when": WHEN}],
                    }
                ],
            }
        },
    }
    for _ in range(data.draw(st.integers(1, 3))):
        _spoil(content, data)
    try:
        dump = parse_dump(json.dumps(content).encode(), Path())
    except Refused:
        return
    for note in dump.notes:
        assert f"{note.subject}: {note.text}".encode()


def _spoil(value: object, data: st.DataObject) -> None:
    """Put something else somewhere."""
    while True:
        if isinstance(value, dict):
            key: Any = data.draw(st.sampled_from(sorted(value) or ["x"]) | st.sampled_from(_KEYS))
        elif isinstance(value, list) and value:
            key = data.draw(st.integers(0, len(value) - 1))
        else:
            return
        inner = value.get(key) if isinstance(value, dict) else value[key]
        if not isinstance(inner, dict | list) or data.draw(st.booleans()):
            value[key] = data.draw(_json)
            return
        value = inner
