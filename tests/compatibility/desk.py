"""Where somebody works with devpi's client, as it comes."""

from dataclasses import dataclass
from pathlib import Path

from tests.clients.programs import Finished, Terminal, program
from tests.compatibility.sites import Site


@dataclass(frozen=True, slots=True)
class Desk:
    """devpi-client at a terminal, beside the server that it uses."""

    site: Site
    terminal: Terminal

    def run(self, *arguments: str | Path, **variables: str) -> Finished:
        """Run a command; whether the server refuses it or not, the client understands it."""
        finished = self.terminal.run(program("devpi"), *arguments, **variables)
        for sign_of_trouble in ("unversioned reply", "Traceback", "500 "):
            assert sign_of_trouble not in finished.output, finished.output
        return finished

    def must(self, *arguments: str | Path, **variables: str) -> str:
        """Run a command that has to succeed; what it wrote."""
        finished = self.run(*arguments, **variables)
        assert finished.exit_code == 0, finished.output
        return finished.output

    def refused(self, status: int, *arguments: str | Path) -> str:
        """Run a command that the server has to refuse; what it wrote, on one line."""
        finished = self.run(*arguments)
        assert finished.exit_code == 1, finished.output
        assert f"{status} " in finished.output
        return finished.sentence


def lines(output: str) -> list[str]:
    """The lines, without blanks around them, and without empty ones."""
    return [line.strip() for line in output.splitlines() if line.strip()]
