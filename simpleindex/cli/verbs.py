"""Groups of verbs whose commands are imported when they are asked for: none pays for the others."""

import importlib
from collections.abc import Mapping

import click


def verbs_of(package: str, verbs: Mapping[str, str]) -> type[click.Group]:
    """The class of a group, for `click.group(cls=...)`.

    `verbs` says where each verb's command is: `module:name`, the module in `package`.
    """

    class Verbs(click.Group):
        """Finds a verb's command in the module of that verb."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(verbs)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in verbs:
                return None
            module, _, name = verbs[cmd_name].partition(":")
            found: click.Command = getattr(importlib.import_module(f"{package}.{module}"), name)
            return found

    return Verbs
