"""Which mirrors may complete a project: devpi's `mirror_whitelist`, as a pure rule.

Without it, whoever registers the name of a private project in a public index could put releases
under it (dependency confusion).
"""

from collections.abc import Callable, Sequence

from simpleindex_storage.model import Index, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, ProjectName

_EVERY_PROJECT = "*"


def admitted(
    chain: Sequence[Index], project: ProjectName, has_project: Callable[[IndexName], bool]
) -> tuple[Index, ...]:
    """The indexes of a chain that may show a project: all but the mirrors that are shut out of it.

    A mirror is shut out if an index before it has the project, and no whitelist up to there names
    it. The lists of the indexes on the way are combined as the first index says: `intersection`,
    by which a base can only take away, or `union`.
    """
    found: list[Index] = []
    whitelist: set[str] | None = None
    is_whitelisted = is_private = False
    for index in chain:
        settings = index.settings
        if isinstance(settings, MirrorSettings):
            if is_private and not is_whitelisted:
                continue
        else:
            whitelist = _combined(chain[0], whitelist, settings)
            if not whitelist.isdisjoint((_EVERY_PROJECT, project)):
                is_whitelisted = True
            elif has_project(index.name):
                is_private = True
        found.append(index)
    return tuple(found)


def _combined(first: Index, before: set[str] | None, settings: StageSettings) -> set[str]:
    own = set(settings.mirror_whitelist)
    if before is None:
        return own
    unites = (
        isinstance(first.settings, StageSettings)
        and first.settings.mirror_whitelist_inheritance == "union"
    )
    return before | own if unites else before & own
