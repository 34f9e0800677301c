import re
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from simpleindex.config import (
    Config,
    ConfigError,
    HandOver,
    parse_networks,
    read_config,
    settings,
)

OF_A_KIND: Mapping[str, tuple[object, ...]] = {
    "port": (3142, 3143, 3144, 3141),
    "host": ("a.example", "b.example", "c.example", "127.0.0.1"),
    "restrict_modify": (("a",), ("b",), ("c",), ("root",)),
    "access_log": (False, False, False, True),
}
"""What a flag, the environment and the file say, and what holds if nobody says anything."""


def as_text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value).lower()


def as_toml(value: object) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def read(
    tmp_path: Path,
    toml: str | None = None,
    flags: Mapping[str, object] = {},
    environment: Mapping[str, str] = {},
) -> Config:
    """Settings for a server directory, maybe with a settings file in it."""
    if toml is not None:
        (tmp_path / "simpleindex.toml").write_text(toml, "utf-8")
    return read_config({"serverdir": str(tmp_path), **flags}, environment)


@pytest.mark.parametrize("name", OF_A_KIND)
@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("flag environment file", "flag --{option}"),
        ("environment file", "environment SIMPLEINDEX_{variable}"),
        ("file", "{file}"),
        ("", "default"),
        ("flag file", "flag --{option}"),
        ("flag", "flag --{option}"),
    ],
)
def test_flags_go_before_the_environment_and_that_before_the_file(
    name: str, said: str, source: str, tmp_path: Path
) -> None:
    by_flag, by_environment, by_file, default = OF_A_KIND[name]
    config = read(
        tmp_path,
        f"{name} = {as_toml(by_file)}" if "file" in said else None,
        {name: by_flag} if "flag" in said else {name: None},
        {f"SIMPLEINDEX_{name.upper()}": as_text(by_environment)} if "environment" in said else {},
    )
    expected = {"flag": by_flag, "environment": by_environment, "file": by_file, "": default}
    assert getattr(config, name) == expected[said.partition(" ")[0]]
    assert config.source_of(name) == source.format(
        option=name.replace("_", "-"),
        variable=name.upper(),
        file=tmp_path / "simpleindex.toml",
    )


def test_every_setting_can_be_given_in_each_way(tmp_path: Path) -> None:
    given: dict[str, tuple[object, str, object]] = {
        "serverdir": (str(tmp_path), str(tmp_path), tmp_path),
        "host": ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        "port": (0, "0", 0),
        "listen": (
            ["[::1]:80", "*:81", ":82"], "[::1]:80, *:81,:82",
            (("::1", 80), ("0.0.0.0", 81), ("0.0.0.0", 82)),
        ),
        "unix_socket": ("/run/x", "/run/x", Path("/run/x")),
        "workers": (4, " 4 ", 4),
        "tls_cert": ("/etc/cert.pem", "/etc/cert.pem", Path("/etc/cert.pem")),
        "tls_key": ("/etc/key.pem", "/etc/key.pem", Path("/etc/key.pem")),
        "outside_url": ("https://x/index/", "https://x/index/", "https://x/index"),
        "trusted_proxy": (["::1", "10.0.0.0/8"], "0:0::1,10.0.0.0/8",
                          (ip_network("::1"), ip_network("10.0.0.0/8"))),
        "send_files_by": ("X-Accel-Redirect:/+send/v1/", "x-accel-redirect:/+send/v1/",
                          HandOver("x-accel-redirect", "/+send/v1/")),
        "restrict_modify": ([], "", ()),
        "connections_max": (0, "0", 0),
        "connections_per_address_max": (50, "50", 50),
        "upload_bytes_max": (1, "1", 1),
        "login_seconds": (60, "60", 60),
        "secretfile": ("/etc/secret", "/etc/secret", Path("/etc/secret")),
        "page_memory_bytes": (1, " 1 ", 1),
        "upstream_url": ("https://u:p@x/simple", "https://u:p@x/simple", "https://u:p@x/simple"),
        "mirror_cache_expiry": (0, "0", 0),
        "private_upstreams": (["127.0.0.1", "10.0.0.0/8"], "127.0.0.1, 10.0.0.0/8",
                              ("127.0.0.1", "10.0.0.0/8")),
        "cache_bytes_max": (5, "5", 5),
        "keep_free_bytes": (0, "0", 0),
        "log_days": (730, "730", 730),
        "access_log": (False, "No", False),
        "log_format": ("json", "json", "json"),
        "metrics_from": (["10.1.0.0/16", "::1"], "10.1.0.0/16, ::1",
                         (ip_network("10.1.0.0/16"), ip_network("::1"))),
        "learn": (False, "no", False),
        "offline_mode": (True, "YES", True),
        "require_signature": (True, "true", True),
    }  # fmt: skip
    names = [entry.name for entry in settings()]
    assert names == list(given)
    assert names == [entry.name for entry in fields(Config) if entry.name != "sources"]
    expected = {name: value for name, (_, _, value) in given.items()}
    by_flags = read_config({name: flag for name, (flag, _, _) in given.items()}, {})
    environment = {f"SIMPLEINDEX_{name.upper()}": text for name, (_, text, _) in given.items()}
    toml = "".join(
        f"{name.replace('_', '-')} = {toml_of(value)}\n"
        for name, (value, _, _) in given.items()
        if name != "serverdir"
    )
    for config in (by_flags, read_config({}, environment), read(tmp_path, toml)):
        assert {name: getattr(config, name) for name in names} == expected
        assert config.sources.keys() == set(names)


def toml_of(value: object) -> str:
    return as_toml(value) if isinstance(value, str | bool | int) else str(value)


def test_a_settings_file_of_ones_own_choice_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").write_text("port = 1")
    chosen = tmp_path / "{other} %s.toml"
    chosen.write_text("port = 2")
    config = read_config({"serverdir": str(tmp_path)}, {}, chosen)
    assert (config.port, config.source_of("port")) == (2, str(chosen))


def test_the_environment_tells_which_directory_has_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").write_text("port = 1")
    assert read_config({}, {"SIMPLEINDEX_SERVERDIR": str(tmp_path)}).port == 1


def test_a_home_folder_is_spelled_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert read_config({}, {}).serverdir == tmp_path / ".simpleindex" / "server"
    assert read_config({"serverdir": "~/x"}, {}).serverdir == tmp_path / "x"


def test_names_of_settings_in_the_environment_of_others_are_left_alone(tmp_path: Path) -> None:
    assert read(tmp_path, environment={"PORT": "1", "SIMPLEINDEX_SHELL": "x"}) == read(tmp_path)


def test_where_values_came_from_makes_no_difference(tmp_path: Path) -> None:
    by_flag, by_file = read(tmp_path, flags={"port": 5}), read(tmp_path, "port = 5")
    assert by_flag.source_of("port") != by_file.source_of("port")
    assert by_flag == by_file
    assert hash(by_flag) == hash(by_file)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        pytest.param("port", "http", "whole number", id="word as port"),
        pytest.param("port", "", "whole number", id="no port"),
        pytest.param("port", "65536", "0 .* to 65535", id="port too large"),
        pytest.param("port", "-1", "0 .* to 65535", id="port below zero"),
        pytest.param("port", "--1", "whole number", id="two signs"),
        pytest.param("port", "1.0", "whole number", id="fraction"),
        pytest.param("port", "9" * 5000, "whole number", id="thousands of digits"),
        pytest.param("port", True, "whole number", id="flag as port"),
        pytest.param("port", 1.0, "whole number", id="float as port"),
        pytest.param("port", [1], "whole number", id="list as port"),
        pytest.param("upload_bytes_max", 0, "above 0", id="nothing may be uploaded"),
        pytest.param("login_seconds", -5, "above 0", id="negative time"),
        pytest.param("host", 7, "line of text", id="number as host"),
        pytest.param("host", "a\nb", "line of text", id="two lines"),
        pytest.param("listen", "localhost", "HOST:PORT", id="no port to listen on"),
        pytest.param("listen", "localhost:http", "whole number", id="word to listen on"),
        pytest.param("listen", 3141, "list of names", id="number to listen on"),
        pytest.param("listen", [3141], "line of text", id="number in a list"),
        pytest.param("restrict_modify", {"root": 1}, "list of names", id="table as names"),
        pytest.param("restrict_modify", False, "list of names", id="flag as names"),
        pytest.param("access_log", "maybe", "true or false", id="maybe"),
        pytest.param("access_log", 1, "true or false", id="number as flag"),
        pytest.param(
            "trusted_proxy", "proxy.example", "'proxy.example' is none", id="proxy's name"
        ),
        pytest.param("trusted_proxy", "*", "'*' is none", id="all proxies"),
        pytest.param(
            "trusted_proxy", "10.1.2.3/8", "an address in 10.0.0.0/8", id="proxy in a network"
        ),
        pytest.param("send_files_by", "nginx", "slashes at both ends", id="no header"),
        pytest.param("send_files_by", "x-sendfile:/srv/", "x-sendfile is needed", id="with a path"),
        pytest.param("send_files_by", "x-accel-redirect", "slashes at both", id="no location"),
        pytest.param("send_files_by", "x-accel-redirect:/", "slashes at both", id="the root"),
        pytest.param("send_files_by", "x-accel-redirect:/send", "slashes at both", id="no slash"),
        pytest.param("send_files_by", "x-accel-redirect:@send", "slashes at both", id="named"),
        pytest.param("send_files_by", "x-accel-redirect:/a/../b/", "internal", id="dots"),
        pytest.param("send_files_by", "x-accel-redirect:/%2e/", "internal", id="quoted"),
        pytest.param("send_files_by", "x-accel-redirect:/a b/", "internal", id="blank in it"),
        pytest.param("send_files_by", "x-accel-redirect:/a/\r\nb:/", "line of text", id="line"),
        pytest.param("send_files_by", True, "line of text", id="flag as header"),
        pytest.param("log_format", "JSON", "text or json", id="a form in capitals"),
        pytest.param("log_format", True, "text or json", id="flag as form"),
        pytest.param("metrics_from", "a.example", "/16 are needed; 'a.example' is none", id="host"),
        pytest.param(
            "metrics_from", "10.1.0.1/16", "an address in 10.1.0.0/16", id="address in a network"
        ),
        pytest.param("metrics_from", True, "like 10.1.0.0/16", id="flag as networks"),
        pytest.param("unix_socket", 0, "line of text", id="number as path"),
        pytest.param("unix_socket", False, "line of text", id="flag as path"),
        pytest.param("unix_socket", [], "line of text", id="list as path"),
        pytest.param("secretfile", "~nobody-of-this-name/x", "home folder", id="nobody's home"),
        pytest.param("outside_url", "packages.example", "like https://", id="no scheme"),
        pytest.param("outside_url", "ftp://packages.example", "like https://", id="ftp"),
        pytest.param("outside_url", "https://", "like https://", id="no host"),
        pytest.param("outside_url", "https://x/?a", "like https://", id="query"),
        pytest.param("outside_url", "https://x/#a", "like https://", id="fragment"),
        pytest.param("outside_url", "https://a b/", "like https://", id="blank"),
        pytest.param("outside_url", "https://x:y/", "[Pp]ort", id="port of a URL"),
        pytest.param("outside_url", "https://[x/", "IPv6", id="bracket"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_origin(
    name: str, value: Any, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, flags={name: value})
    refuses(refused.value, f"{name} = ", f"flag --{name.replace('_', '-')}", wanted)
    if isinstance(value, str):
        variable = f"SIMPLEINDEX_{name.upper()}"
        with pytest.raises(ConfigError) as refused:
            read(tmp_path, environment={variable: value})
        refuses(refused.value, f"{name} = ", f"environment {variable}", wanted)
    if not isinstance(value, str | dict):
        with pytest.raises(ConfigError) as refused:
            read(tmp_path, f"{name} = {toml_of(value)}")
        refuses(refused.value, f"{name} = ", str(tmp_path / "simpleindex.toml"), wanted)


def test_a_value_that_is_overruled_is_not_looked_at(tmp_path: Path) -> None:
    assert read(tmp_path, "port = 'http'", {"port": 5}).port == 5


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        pytest.param("prot = 1", "no setting 'prot'", id="unknown key"),
        pytest.param("[server]\nport = 1", "no setting 'server'", id="table"),
        pytest.param("sources = {}", "no setting 'sources'", id="not a setting"),
        pytest.param("serverdir = '/x'", "flag or environment", id="serverdir"),
        pytest.param("login-seconds = 1\nlogin_seconds = 2", "twice", id="two spellings"),
        pytest.param("port = ", "not valid TOML", id="bad TOML"),
        pytest.param("port = 1\nport = 2", "not valid TOML", id="twice"),
        pytest.param("port == 1", "not valid TOML", id="operator"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(
    toml: str, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, toml)
    refuses(refused.value, str(tmp_path / "simpleindex.toml"), wanted)


def test_a_settings_file_must_be_utf_8(tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").write_bytes(b"host = '\xe9'")
    with pytest.raises(ConfigError) as refused:
        read(tmp_path)
    refuses(refused.value, "not valid TOML")


def test_a_settings_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config({}, {}, tmp_path / "missing.toml")
    refuses(refused.value, "missing.toml", "cannot be read", "No such file")


def test_a_settings_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").mkdir()
    with pytest.raises(ConfigError) as refused:
        read(tmp_path)
    refuses(refused.value, "simpleindex.toml", "cannot be read")


def test_a_server_directory_that_is_a_file_is_for_others_to_refuse(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert read_config({"serverdir": str(file)}, {}).serverdir == file


def test_a_machine_without_home_folders_is_told_to_name_a_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(ConfigError) as refused:
        read_config({}, {})
    refuses(refused.value, "serverdir = ", "default", "home folder")


def refuses(error: ConfigError, *wanted: str) -> None:
    """The text is one line, which has all that is wanted."""
    line = str(error)
    assert line.isprintable()
    for words in wanted:
        assert words in line or re.search(words, line), f"{words!r} is not in {line!r}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://bob:secret@x/simple",
        "https://bob:secret@",
        "https://bob:secret@[x/",
        "https://b:secret@x:0",
    ],
)
def test_a_wrong_url_of_an_upstream_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="a URL like https:") as refused:
        read_config({"upstream_url": url}, {})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("127.0.0.1", ["127.0.0.1/32"]),
        ("::1, 10.0.0.0/8", ["::1/128", "10.0.0.0/8"]),
        ("::ffff:10.0.0.1", ["10.0.0.1/32"]),
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"]),
        ("::ffff:0:0/96", ["0.0.0.0/0"]),
        ("::/0", ["::/0"]),
        ("fe80::1%eth0", ["fe80::1/128"]),
        ("", []),
    ],
)
def test_a_network_of_ipv4_is_that_in_any_notation(text: str, networks: list[str]) -> None:
    assert parse_networks(text) == tuple(map(ip_network, networks))
