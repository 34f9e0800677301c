"""API tokens of users: made, listed and revoked, by a password or a login."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from simpleindex import api_tokens
from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden, NotAuthenticated
from simpleindex.routes.asking import asked_user, in_thread, json_body
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.replies import changed
from simpleindex.wire import devpi_json, tokens_json
from simpleindex.wire.locations import TokenAt, TokensAt
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import UserName
from simpleindex_storage.ports import Catalog


@dataclass(frozen=True, slots=True)
class TokensDoor:
    """The tokens of a user, for the user and for root."""

    catalog: Catalog
    doorkeeper: Doorkeeper
    rules: Rules
    now: Callable[[], datetime]

    async def create(self, request: Request, at: TokensAt) -> Response:
        """Make a token; 201. Its secret is in this answer, and nowhere else."""
        user, principal = await self._user(request, at)
        wish = tokens_json.parse_wish(await json_body(request))
        token, secret = api_tokens.issue(user, wish, self.now())
        await changed(
            self.catalog,
            lambda change: api_tokens.add_token(change, token),
            principal,
            "create token",
        )
        config = tokens_json.token_config(token)
        return _reply(devpi_json.reply({**config, "token": secret}, "token"), 201)

    async def list_all(self, request: Request, at: TokensAt) -> Response:
        """All tokens of the user, without what is secret of them."""
        user, _ = await self._user(request, at)

        def read() -> list[JsonValue]:
            with self.catalog.snapshot() as seen:
                return [tokens_json.token_config(token) for token in api_tokens.tokens(seen, user)]

        return _reply(devpi_json.reply(await in_thread(read), "list:token"))

    async def revoke(self, request: Request, at: TokenAt) -> Response:
        """End a token, at once and for good."""
        user, principal = await self._user(request, at)
        await changed(
            self.catalog,
            lambda change: api_tokens.revoke_token(change, at.token, user),
            principal,
            "revoke token",
        )
        return _reply(devpi_json.reply(message=f"token {at.token} of {user} is revoked"))

    async def _user(self, request: Request, at: TokensAt | TokenAt) -> tuple[UserName, Principal]:
        """Whose tokens it is about, and who asks. Raises NotAuthenticated, Forbidden."""
        principal = await self.doorkeeper.identify(request)
        if principal.name is None:
            raise NotAuthenticated(
                "tokens are for those who are logged in",
                www_authenticate='Basic realm="simpleindex-server"',
            )
        user = asked_user(at.user)
        if principal.token is not None:
            raise Forbidden("a token cannot do this: use the password, or a login")
        if not self.rules.may_manage_tokens(principal, user):
            raise Forbidden(f"{principal} may not see or change the tokens of {user}")
        return user, principal


def _reply(body: bytes, status: int = 200) -> Response:
    return Response(body, status, {"cache-control": "no-store"}, devpi_json.MEDIA_TYPE)
