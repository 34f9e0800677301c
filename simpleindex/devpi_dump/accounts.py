"""Users and indexes of a dump. What an admin has changed here since stays."""

from dataclasses import replace

from simpleindex import argon2_hashes
from simpleindex.access import ROOT, ROOT_AT_CONSOLE
from simpleindex_storage.errors import AlreadyStored
from simpleindex_storage.model import Index, MirrorSettings, Outcome, User
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store

from .records import UNUSABLE_HASH, Dump, DumpedIndex
from .report import WHAT, Done, Options


def take_accounts(store: Store, dump: Dump, options: Options) -> Done:
    """All users and indexes at once: a half of them would have rights that nobody gave."""
    usable = {user.name: _has_usable_password(user) for user in dump.users}

    def work(change: Change) -> Done:
        done = Done()
        for user in dump.users:
            _take_user(change, user, usable[user.name], done)
        for index in dump.indexes:
            _take_index(change, index, done)
        if options.is_dry_run:
            raise _OnlyLooking(done)
        return done

    try:
        done = store.catalog.change(work, by=ROOT_AT_CONSOLE, what=WHAT)
    except _OnlyLooking as looking:
        done = looking.done
    return done


class _OnlyLooking(Exception):
    """Takes back what a dry run has done."""

    def __init__(self, done: Done) -> None:
        super().__init__()
        self.done = done


def _has_usable_password(user: User) -> bool:
    """Whether somebody can log in with what the dump has of a password.

    An empty password counts as none here, and devpi-server gives root one.
    """
    if not argon2_hashes.is_argon2(user.password_hash):
        return user.password_hash != UNUSABLE_HASH and not user.password_hash.startswith("$")
    return argon2_hashes.is_available() and not argon2_hashes.fits_argon2("", user.password_hash)


def _take_user(change: Change, user: User, is_usable: bool, done: Done) -> None:
    known = change.user(user.name)
    subject = f"user {user.name}"
    if known is None:
        try:
            change.put_user(user)
        except AlreadyStored as error:
            done.lost(subject, str(error))
            return
        done.counts.users[Outcome.ADDED] += 1
        _note_password(user, is_usable, done)
        return
    done.counts.users[Outcome.ALREADY_THERE] += 1
    if user.name == ROOT:
        _take_root(change, user, known, is_usable, done)
    elif replace(user, password_hash=known.password_hash) == known:  # since an earlier run
        _note_password(known, is_usable or user.password_hash != known.password_hash, done)
    elif known.password_hash == UNUSABLE_HASH:  # of a run that knew less
        change.put_user(replace(user, created_at=known.created_at))
        _note_password(user, is_usable, done)
    else:
        done.remark(subject, "is here already, and was left as it is")


def _take_root(change: Change, user: User, known: User, is_usable: bool, done: Done) -> None:
    """Root is always here, with the password that `init` made unless it was changed."""
    subject = f"user {user.name}"
    password_hash = user.password_hash if is_usable else known.password_hash
    user = replace(user, created_at=known.created_at, password_hash=password_hash)
    if not is_usable:
        done.lost(subject, "the password; root keeps the one of this server")
    if user == known:
        return
    if known.password_version != 1 or known.modified_at is not None:
        done.remark(subject, "was changed here since, and is left as it is")
        return
    change.put_user(user)
    if is_usable:
        done.remark(subject, "has the password of the dump now")


def _note_password(user: User, is_usable: bool, done: Done) -> None:
    if is_usable:
        return
    reset = f"set a new one with `simpleindex-server passwd {user.name}`"
    if not argon2_hashes.is_argon2(user.password_hash):
        why = f"the password, of which the dump has no hash that can be checked here; {reset}"
    elif argon2_hashes.is_available():
        why = f"the password, which was empty; {reset}"
    else:
        why = f"cannot log in until argon2-cffi is installed (the extra [argon2]); else {reset}"
    done.lost(f"user {user.name}", why)


def _take_index(change: Change, index: DumpedIndex, done: Done) -> None:
    wanted = Index(index.name, index.settings, automatic=index.automatic)
    known, subject = change.index(index.name), f"index {index.name}"
    if known is None:
        try:
            change.put_index(wanted)
            done.counts.indexes[Outcome.ADDED] += 1
        except AlreadyStored as error:
            done.lost(subject, str(error))
        return
    done.counts.indexes[Outcome.ALREADY_THERE] += 1
    if known.settings == wanted.settings:
        return
    if isinstance(known.settings, MirrorSettings) != isinstance(wanted.settings, MirrorSettings):
        done.lost(subject, "it is here already, and one of the two mirrors another index")
    elif known.automatic or _mirrors_nothing(known):
        change.put_index(wanted)
    else:
        done.remark(subject, "is here already, and keeps its settings")


def _mirrors_nothing(index: Index) -> bool:
    """As `init` makes root/pypi."""
    return isinstance(index.settings, MirrorSettings) and index.settings.mirror_url is None
