"""`bundle`: carry packages to a site without internet. Every verb lies in a file of its own."""

import click

from simpleindex.cli.verbs import verbs_of

_VERBS: dict[str, str] = {
    "create": "create:command",
    "verify": "verify:command",
    "show": "show:command",
    "diff": "diff:command",
    "import": "import_bundle:command",
    "undo": "undo:command",
    "history": "history:command",
}
"""Where each verb's command is: module in this folder, and name in it."""


@click.group("bundle", cls=verbs_of(__name__, _VERBS))
def command() -> None:
    """Carry packages to a site without internet, in one file that proves what it brings.

    `bundle create` makes one where there is internet; `bundle import` takes it in at the site.
    """
