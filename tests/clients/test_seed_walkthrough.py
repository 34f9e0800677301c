"""The commands of the manual that the first users follow, word for word, with the real client."""

import sys
from pathlib import Path

import pytest

from tests.clients.fetch import listed_names
from tests.clients.programs import Terminal, program
from tests.clients.server_side import add, filenames_in, run_verb
from tests.server import free_port, running_server, server_environment, server_of

FEW = ("PyYAML-5.4.1-cp36-cp36m-manylinux1_x86_64.whl", "docopt-0.6.2.tar.gz", "jupyter-1.0.0.zip")


def test_the_manuals_commands_fill_an_index_from_a_folder(
    real_packages: Path, terminal: Terminal, tmp_path: Path
) -> None:
    shims, serverdir, port = tmp_path / "shims", tmp_path / "devpi", free_port()
    run_verb("shims", str(shims))
    source_tree = server_environment()["PYTHONPATH"]
    terminal.must(shims / "devpi-init", f"--serverdir={serverdir}", PYTHONPATH=source_tree)
    serve = [
        str(shims / "devpi-server"),
        f"--serverdir={serverdir}",
        "--restrict-modify=root",
        f"--port={port}",
        "--host=127.0.0.1",
    ]
    with server_of(serve, serverdir) as server:
        assert server.port == port
        _devpi(terminal, "use", f"http://127.0.0.1:{port}")
        _devpi(terminal, "login", "root", f"--password={server.root_password}")
        assert "root/local" in _devpi(terminal, "index", "-c", "local")
        _devpi(terminal, "use", "root/local")
        output = _devpi(terminal, "upload", "--from-dir", str(real_packages))

        names = set(listed_names())
        assert len(names) >= 100
        assert _uploaded(output) == names
        assert filenames_in(server) == names
        # The manual's last step, as the application does it: no option, the index from outside.
        index_url, target = f"http://127.0.0.1:{port}/root/local/", tmp_path / "target"
        pip_install = [sys.executable, "-m", "pip", "install", "--no-cache-dir"]
        terminal.must(*pip_install, "--target", target, "babel", PIP_INDEX_URL=index_url)
        assert (target / "babel" / "__init__.py").exists()


def test_the_manuals_commands_work_after_add_has_made_the_index(
    real_packages: Path, terminal: Terminal, tmp_path: Path
) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for name in FEW:
        (folder / name).write_bytes((real_packages / name).read_bytes())

    with running_server(tmp_path / "data") as server:
        add(server, folder)
        assert filenames_in(server) == set(FEW)

        _devpi(terminal, "use", server.url)
        _devpi(terminal, "login", "root", f"--password={server.root_password}")
        assert "root/local" in _devpi(terminal, "index", "-c", "local")
        assert filenames_in(server) == set(FEW)
        _devpi(terminal, "use", "root/local")
        output = _devpi(terminal, "upload", "--from-dir", str(folder))

        assert _uploaded(output) == set(FEW)
        assert filenames_in(server) == set(FEW)


@pytest.mark.parametrize("password", ["", "root", "wrong"])
def test_root_has_no_password_that_could_be_guessed(
    password: str, terminal: Terminal, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        _devpi(terminal, "use", server.url)
        refused = terminal.run(program("devpi"), "login", "root", f"--password={password}")
    assert refused.exit_code == 1
    assert "401" in refused.output


def _devpi(terminal: Terminal, *arguments: str) -> str:
    output = terminal.must(program("devpi"), *arguments)
    assert "unversioned reply" not in output
    return output


def _uploaded(output: str) -> set[str]:
    lines = (line.split() for line in output.splitlines() if line.startswith("file_upload of "))
    return {words[2] for words in lines}
