"""Who looks at an index, and may they? The question that stands before everything that is shown."""

from dataclasses import dataclass

from simpleindex.access import ANYBODY, Principal, Rules, is_public
from simpleindex.errors import Forbidden, NotAuthenticated
from simpleindex_storage.model import Index
from simpleindex_storage.names import ProjectName


class WhoIsAsking(Exception):
    """It matters who the reader is, and nobody has looked at the credentials yet."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who looks at indexes."""

    rules: Rules
    principal: Principal | None
    """None: whoever has sent credentials that nobody has looked at."""

    def may_read(self, index: Index, project: ProjectName | None = None) -> bool:
        """Whether anything of an index may be shown. Raises WhoIsAsking.

        `project`: what it is about; None for the index as a whole.
        """
        if is_public(index.settings):
            return True
        if self.principal is None:
            raise WhoIsAsking
        return self.rules.may_read(self.principal, index, project)

    def require(self, index: Index, project: ProjectName | None = None) -> None:
        """Raises Forbidden, NotAuthenticated for what must not be shown; WhoIsAsking."""
        if self.may_read(index, project):
            return
        assert self.principal is not None
        if self.principal.name is None and index.settings.challenge:
            raise NotAuthenticated(
                f"reading {index.name} needs a user name and a password",
                www_authenticate='Basic realm="simpleindex-server"',
            )
        # Without that setting never a 401: pip would wait at a prompt that nobody sees.
        raise Forbidden(
            f"{self.principal} may not read {project or 'what is'} in {index.name}; its acl_read "
            "names who may"
        )


ANY_READER = Reader(Rules(), ANYBODY)
"""Who sees what everybody may see."""
