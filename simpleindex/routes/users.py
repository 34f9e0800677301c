"""devpi's JSON API of users."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import ROOT, Principal, Rules, check_new_password
from simpleindex.errors import Forbidden
from simpleindex.mirror.forgetting import forget_gone_if_possible
from simpleindex.reading import Reader
from simpleindex.routes.asking import asked_user, in_thread, json_body
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.replies import changed, devpi_reply, not_allowed, told
from simpleindex.wire import devpi_json, user_json
from simpleindex.wire.locations import UserAt
from simpleindex.wire.user_json import UserChange
from simpleindex_storage import upkeep
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import AlreadyStored, NotStored
from simpleindex_storage.model import JsonValue, User
from simpleindex_storage.names import UserName, owner_of, parse_user_name
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")


@dataclass(frozen=True, slots=True)
class UsersDoor:
    """Users, who are told of to everybody, and changed by few."""

    store: Store
    cache: Cache
    doorkeeper: Doorkeeper
    rules: Rules
    now: Callable[[], datetime]
    root_password_file: Path
    """Where a password that was made up for root is kept until root has another."""

    async def list_all(self, request: Request) -> Response:
        """All users with their indexes."""
        principal = await self.doorkeeper.identify_reader(request)

        def read() -> bytes:
            with self.store.catalog.snapshot() as seen:
                users: dict[str, JsonValue] = {
                    user.name: self._config(seen, user, principal) for user in seen.users()
                }
            return devpi_json.reply(users, "list:userconfig")

        return devpi_reply(await in_thread(read))

    async def show(self, request: Request, at: UserAt) -> Response:
        """One user."""
        principal = await self.doorkeeper.identify_reader(request)

        def read() -> bytes:
            with self.store.catalog.snapshot() as seen:
                config = self._config(seen, _known(seen, asked_user(at.user)), principal)
            return devpi_json.reply(config, "userconfig")

        return devpi_reply(await in_thread(read))

    async def create(self, request: Request, at: UserAt) -> Response:
        """Make a user; 201."""
        principal = await self.doorkeeper.identify(request)
        if not self.rules.may_create_user(principal):
            raise not_allowed(principal, "create users")
        name = parse_user_name(at.user)
        password, profile = user_json.parse_new_user(await json_body(request))
        check_new_password(password)

        def create(change: Change) -> bytes:
            if change.user(name) is not None:
                raise AlreadyStored("User", name, "choose another name")
            user = User(name, password_hash, 1, self.now(), profile=profile)
            change.put_user(user)
            return devpi_json.reply(self._config(change, user, principal), "userconfig")

        password_hash = await self.doorkeeper.hash(password)
        body = await changed(self.store.catalog, create, principal, "create user")
        return devpi_reply(body, 201)

    async def modify(self, request: Request, at: UserAt) -> Response:
        """Change a user. A new password ends their logins, and comes with a new one."""
        principal = await self.doorkeeper.identify(request)
        asked = user_json.parse_user_change(await json_body(request))
        name = asked_user(at.user)
        # To hash is dear: whoever may not set a password is refused before.
        await in_thread(lambda: self._check_may_change(principal, name, asked))
        password_hash = None
        if asked.password is not None:
            check_new_password(asked.password)
            password_hash = await self.doorkeeper.hash(asked.password)

        def modify(change: Change) -> User:
            user = _known(change, name)
            self._check_may_change_user(principal, user, asked)
            after = self._changed(user, asked, password_hash)
            if after != user:
                change.put_user(after)
            return after

        user = await changed(self.store.catalog, modify, principal, "modify user")
        if password_hash is None:
            return told(f"user {name} is as you want it now")
        if name == ROOT:
            await in_thread(self._forget_made_up_password)
        login = user_json.proxy_auth(self.doorkeeper.token(user), self.doorkeeper.login_seconds)
        return devpi_reply(
            devpi_json.reply(login, "userpassword", f"user {name} has a new password now")
        )

    async def remove(self, request: Request, at: UserAt) -> Response:
        """Remove a user with all their indexes, unless one of these is to stay."""
        principal = await self.doorkeeper.identify(request)
        name = asked_user(at.user)

        def remove(change: Change) -> None:
            _known(change, name)
            if name == ROOT:
                raise Forbidden("root cannot be removed")
            if not self.rules.may_remove_user(principal, name):
                raise not_allowed(principal, f"remove user {name}")
            owned = [index for index in change.indexes() if owner_of(index.name) == name]
            kept = [index.name for index in owned if not index.settings.volatile]
            if kept:
                raise Forbidden(
                    f"user {name} has indexes that are not volatile, and so stay: {', '.join(kept)}"
                )
            upkeep.remove_user(change, name)

        await changed(self.store.catalog, remove, principal, "remove user")
        await in_thread(lambda: forget_gone_if_possible(self.cache, self.store.catalog))
        await in_thread(self.store.sweep_if_possible)
        return told(f"user {name} is removed, with all indexes of that name")

    def _forget_made_up_password(self) -> None:
        try:
            self.root_password_file.unlink(missing_ok=True)
        except OSError as error:  # the password is changed all the same
            file, reason = self.root_password_file, error.strerror
            _log.warning("%s holds an old password and cannot be removed: %s", file, reason)

    def _config(self, seen: Snapshot, user: User, principal: Principal) -> dict[str, JsonValue]:
        reader = Reader(self.rules, principal)
        return user_json.user_config(
            user,
            seen.indexes(),
            lambda index: self.rules.may_see_secrets(principal, index.name),
            reader.may_read,
        )

    def _check_may_change(self, principal: Principal, name: UserName, asked: UserChange) -> None:
        with self.store.catalog.snapshot() as seen:
            self._check_may_change_user(principal, _known(seen, name), asked)

    def _check_may_change_user(self, principal: Principal, user: User, asked: UserChange) -> None:
        # devpi-client sends back all that it was told, so only what differs counts.
        keys = asked.changed_keys(user)
        if not self.rules.may_change_user(principal, user.name, keys):
            which = ", ".join(sorted(keys)) or "anything"
            raise not_allowed(principal, f"change {which} of user {user.name}")

    def _changed(self, user: User, asked: UserChange, password_hash: str | None) -> User:
        if not asked.changed_keys(user):
            return user
        after = replace(user, profile=asked.profile_of(user), modified_at=self.now())
        if password_hash is None:
            return after
        return replace(
            after, password_hash=password_hash, password_version=user.password_version + 1
        )


def _known(seen: Snapshot, name: UserName) -> User:
    user = seen.user(name)
    if user is None:
        raise NotStored(f"user {name}")
    return user
