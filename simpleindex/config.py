"""All settings: one list, read once, from flags, environment, a TOML file and defaults.

`Config` is that list. The command line's options, the names in the environment
(`SIMPLEINDEX_PORT`) and the keys of `simpleindex.toml` (`port`) are all derived from it.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from simpleindex.secrets_in_urls import without_account

Network: TypeAlias = IPv4Network | IPv6Network

ENVIRONMENT_PREFIX = "SIMPLEINDEX_"
FILE_NAME = "simpleindex.toml"

_WORKERS_MAX = 64


class ConfigError(Exception):
    """A setting that cannot be used; the text says which, where it came from, and what would do."""


def _text(value: object) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError("a line of text is needed")


def _path(value: object) -> Path:
    text = _text(value)
    if not text:
        raise ValueError("a path is needed")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no such home folder; a full path is needed") from None


def _optional_path(value: object) -> Path | None:
    return None if value == "" else _path(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("true or false is needed")


def _port(value: object) -> int:
    number = _number(value)
    if not 0 <= number <= 65535:
        raise ValueError("a port is a number from 0 (any free one) to 65535")
    return number


def _size(value: object) -> int:
    number = _number(value)
    if number < 1:
        raise ValueError("a whole number above 0 is needed")
    return number


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    raise ValueError("a whole number is needed")


def _workers(value: object) -> int:
    number = _number(value)
    if not 1 <= number <= _WORKERS_MAX:
        raise ValueError(f"a number from 1 to {_WORKERS_MAX} is needed")
    return number


def _not_negative(value: object) -> int:
    number = _number(value)
    if number < 0:
        raise ValueError("a whole number, 0 or above, is needed")
    return number


def _days(value: object) -> int:
    number = _not_negative(value)
    if number > 36_500:
        raise ValueError("36,500 days at the most are needed")
    return number


def _seconds(value: object) -> int:
    number = _not_negative(value)
    if number >= 10**9:
        raise ValueError("fewer than 1,000,000,000 seconds are needed")
    return number


def _names(value: object) -> tuple[str, ...]:
    """A list, or text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("a list of names is needed")
    return tuple(name for name in (_text(part).strip() for part in parts) if name)


def _addresses(value: object) -> tuple[tuple[str, int], ...]:
    return tuple(_address(text) for text in _names(value))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]").replace("*", "") or "0.0.0.0", _port(port)  # noqa: S104  asked for


def _outside_url(value: object) -> str | None:
    text = _text(value).rstrip("/")
    if not text:
        return None
    parts = urlsplit(text)
    complete = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not complete or parts.query or parts.fragment or " " in text:
        raise ValueError("a URL like https://packages.example/index is needed")
    return text


def _upstream_url(value: object) -> str | None:
    text = _text(value)
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_complete = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or " " in text:
        raise ValueError("a URL like https://packages.example/simple is needed")
    return text


def _log_format(value: object) -> str:
    if value in ("text", "json"):
        return str(value)
    raise ValueError("text or json is needed")


@dataclass(frozen=True, slots=True)
class HandOver:
    """How a web server in front is told which file it is to send by itself."""

    header: str
    location: str | None = None
    """Where that server has the files, as a path of its own; None: it takes paths on the disk."""

    def __str__(self) -> str:
        return self.header if self.location is None else f"{self.header}:{self.location}"


_SENDFILE, ACCEL = "x-sendfile", "x-accel-redirect"
_LOCATION = re.compile(r"/(?:(?!\.{1,2}/)[A-Za-z0-9._~+-]+/)+")


def _hand_over(value: object) -> HandOver | None:
    text = _text(value)
    if not text:
        return None
    header, colon, location = text.partition(":")
    if header.lower() == _SENDFILE and not colon:
        return HandOver(_SENDFILE)
    # Not "/" alone: that is where the server in front asks us, and the two would go in a circle.
    if header.lower() == ACCEL and _LOCATION.fullmatch(location):
        return HandOver(ACCEL, location)
    raise ValueError(
        f"{_SENDFILE} is needed (Apache, lighttpd), or {ACCEL}:/+send/ (nginx) with the path of "
        "an internal location, slashes at both ends"
    )


def parse_networks(value: object) -> tuple[Network, ...]:
    """Addresses and networks, from a list or from text with commas. Raises ValueError.

    One of IPv4 in the notation of IPv6 is of IPv4, as addresses of clients are taken to be.
    """
    try:
        names = _names(value)
    except ValueError:
        raise ValueError(_NETWORKS_NEEDED) from None
    return tuple(_network(name) for name in names)


_NETWORKS_NEEDED = "addresses and networks like 10.1.0.0/16 are needed"
_ZONE = re.compile("%[^/]*")
_MAPPED = IPv6Network("::ffff:0:0/96")


def _network(text: str) -> Network:
    without_zone = _ZONE.sub("", text)
    try:
        network = ip_network(without_zone, strict=False)
    except ValueError:
        raise ValueError(f"{_NETWORKS_NEEDED}; {text!r} is none") from None
    if ip_address(without_zone.partition("/")[0]) != network.network_address:
        raise ValueError(
            f"{_NETWORKS_NEEDED}; {text!r} is an address in {network}: give one or the other"
        )
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        last_bits = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((last_bits, network.prefixlen - _MAPPED.prefixlen))
    return network


def network_text(network: Network) -> str:
    """A network as people write it: one address without the number of its bits."""
    is_one = network.prefixlen == network.max_prefixlen
    return str(network.network_address if is_one else network)


def _setting(
    default: Any,
    parse: Callable[[object], Any],
    help_text: str,
    *also: str,
    metavar: str = "",
    needs_restart: bool = False,
) -> Any:
    """A setting: how its value is read, what it is for, and other options that mean it.

    `needs_restart`: a server that runs cannot take another value.
    """
    metadata = {
        "parse": parse,
        "help": help_text,
        "also": also,
        "metavar": metavar,
        "needs_restart": needs_restart,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Sizes are in bytes, times in seconds."""

    serverdir: Path = _setting(
        Path("~/.simpleindex/server"),
        _path,
        "Folder for the packages and all that is known about them.",
        metavar="DIR",
        needs_restart=True,
    )
    host: str = _setting(
        "127.0.0.1", _text, "Address to listen on; 0.0.0.0 for all.", needs_restart=True
    )
    port: int = _setting(3141, _port, "Port to listen on; 0 for any free one.", needs_restart=True)
    listen: tuple[tuple[str, int], ...] = _setting(
        (),
        _addresses,
        "HOST:PORT to listen on, instead of --host and --port; repeatable.",
        needs_restart=True,
    )
    unix_socket: Path | None = _setting(
        None, _optional_path, "Also listen on this socket.", metavar="PATH", needs_restart=True
    )
    workers: int = _setting(
        1,
        _workers,
        "Processes that answer requests; each may use a core, and takes some 50 MB.",
        metavar="NUMBER",
        needs_restart=True,
    )
    tls_cert: Path | None = _setting(
        None,
        _optional_path,
        "Serve HTTPS with this certificate, in PEM format, those above it behind it.",
        metavar="PATH",
    )
    tls_key: Path | None = _setting(
        None, _optional_path, "The certificate's key, in PEM format, not encrypted.", metavar="PATH"
    )
    outside_url: str | None = _setting(
        None, _outside_url, "URL under which clients see this server, when a proxy is in front."
    )
    trusted_proxy: tuple[Network, ...] = _setting(
        (),
        parse_networks,
        "Addresses and networks of proxies whose X-Forwarded-Proto, X-Forwarded-Host, "
        "X-Forwarded-For and X-Outside-Url count.",
    )
    send_files_by: HandOver | None = _setting(
        None,
        _hand_over,
        "Let a trusted proxy send large files by itself: x-accel-redirect:/+send/ (nginx) or "
        "x-sendfile [default: they are sent from here].",
        metavar="HEADER",
    )
    restrict_modify: tuple[str, ...] = _setting(
        ("root",), _names, "Users who may create and change users and indexes, with commas between."
    )
    connections_max: int = _setting(
        1000, _not_negative, "Clients that may be connected at a time; 0 for no limit."
    )
    connections_per_address_max: int = _setting(
        200,
        _not_negative,
        "Of these, how many from one address that is no trusted proxy's; 0 for no limit.",
    )
    upload_bytes_max: int = _setting(
        4 << 30, _size, "Largest file that is taken.", "max-request-body-size", metavar="BYTES"
    )
    login_seconds: int = _setting(36_000, _size, "How long a login is good for.")
    secretfile: Path | None = _setting(
        None, _optional_path, "Key that signs logins [default: SERVERDIR/secret].", metavar="PATH"
    )
    page_memory_bytes: int = _setting(
        32 << 20, _size, "Memory for finished pages and answers.", metavar="BYTES"
    )
    upstream_url: str | None = _setting(
        None,
        _upstream_url,
        "Index that mirrors without a mirror_url show [default: the one that pip here uses].",
        metavar="URL",
    )
    mirror_cache_expiry: int = _setting(
        1800,
        _seconds,
        "Seconds for which a mirror's pages are fresh; older ones are refreshed behind the answer.",
        metavar="SECONDS",
    )
    private_upstreams: tuple[str, ...] = _setting(
        (),
        _names,
        "Hosts, addresses and networks that mirrors and pushes may use although they are private, "
        "with commas between.",
    )
    cache_bytes_max: int = _setting(
        10 << 30,
        _size,
        "Room for files of mirrors; those that nobody used for longest go.",
        metavar="BYTES",
    )
    keep_free_bytes: int = _setting(
        128 << 20,
        _not_negative,
        "Room on the disk that files of mirrors leave free.",
        metavar="BYTES",
    )
    log_days: int = _setting(
        0, _days, "Days for which the audit log is kept; 0: for ever.", metavar="DAYS"
    )
    access_log: bool = _setting(True, _flag, "Print a line for each request.")
    log_format: str = _setting(
        "text",
        _log_format,
        "Form of the log: text, or json for one object a line.",
        needs_restart=True,
    )
    metrics_from: tuple[Network, ...] = _setting(
        (ip_network("127.0.0.1"), ip_network("::1")),
        parse_networks,
        "Addresses and networks that may read /-/metrics, with commas between; root may from "
        "anywhere.",
    )
    learn: bool = _setting(
        True,
        _flag,
        "Count what kinds of hosts installers say they are on, and what they did not find.",
    )
    offline_mode: bool = _setting(False, _flag, "Never connect to another index.")
    require_signature: bool = _setting(
        False, _flag, "Take in only bundles that are signed with a key that `trust` lists."
    )
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each value came from; a setting that is not in here has its default."""

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The hosts and ports to listen on, beside a Unix socket."""
        return self.listen or ((self.host, self.port),)

    def source_of(self, name: str) -> str:
        """Where a value came from, for people."""
        return self.sources.get(name, "default")


def settings() -> tuple[Field[Any], ...]:
    """All settings, in the order in which people are shown them."""
    return tuple(entry for entry in fields(Config) if entry.metadata)


def differences(before: Config, after: Config) -> tuple[list[str], list[str]]:
    """Names of settings that differ: what a running server takes over, and what it cannot."""
    names: tuple[list[str], list[str]] = ([], [])
    for entry in settings():
        if getattr(before, entry.name) != getattr(after, entry.name):
            names[bool(entry.metadata["needs_restart"])].append(entry.name)
    return names


def read_config(
    flags: Mapping[str, object], environment: Mapping[str, str], config_file: Path | None = None
) -> Config:
    """Settings from flags, else the environment, else a file, else defaults.

    The file is `config_file`, else `simpleindex.toml` in the server directory if there is one.
    Raises ConfigError for a value or a file that cannot be used; a setting is never skipped.
    """
    known = {entry.name: entry for entry in settings()}
    variables = {ENVIRONMENT_PREFIX + name.upper(): name for name in known}
    layers: list[_Layer] = [
        (_flag_of, {name: value for name, value in flags.items() if value is not None}),
        (
            _variable_of,
            {variables[key]: value for key, value in environment.items() if key in variables},
        ),
    ]
    serverdir = _first(known["serverdir"], layers)[0]
    path = config_file or serverdir / FILE_NAME
    content = _read_file(path, known, may_be_missing=config_file is None)
    layers.append((lambda _: str(path), content))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, entry in known.items():
        values[name], source = _first(entry, layers)
        if source is not None:
            sources[name] = source
    return Config(**values, sources=sources)


_Layer: TypeAlias = tuple[Callable[[str], str], Mapping[str, object]]
"""Values as they were given, and how to say of one by its name where that was."""


def _flag_of(name: str) -> str:
    return f"flag --{name.replace('_', '-')}"


def _variable_of(name: str) -> str:
    return f"environment {ENVIRONMENT_PREFIX}{name.upper()}"


def _first(entry: Field[Any], layers: Sequence[_Layer]) -> tuple[Any, str | None]:
    """A setting's value from the first layer that has one, and where that was."""
    for describe, layer in layers:
        if entry.name in layer:
            source = describe(entry.name)
            return _parsed(entry, layer[entry.name], source), source
    assert entry.default is not MISSING
    default = entry.default
    return (_parsed(entry, str(default), "default") if isinstance(default, Path) else default), None


def _parsed(entry: Field[Any], value: object, source: str) -> Any:
    try:
        return entry.metadata["parse"](value)
    except ValueError as error:
        shown = without_account(f"{value!r}")
        raise ConfigError(f"{entry.name} = {shown} ({source}): {error}") from None


def _read_file(
    path: Path, known: Mapping[str, object], *, may_be_missing: bool
) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        if may_be_missing and isinstance(error, FileNotFoundError | NotADirectoryError):
            return {}
        advice = "; run this command as its owner" if isinstance(error, PermissionError) else ""
        reason = f"cannot be read: {error.strerror}{advice}"
        raise ConfigError(f"settings file {path} {reason}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not valid TOML: {error}") from None
    found: dict[str, object] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name == "serverdir":
            raise ConfigError(
                f"settings file {path}: serverdir can only be given by flag or environment"
            )
        if name not in known:
            raise ConfigError(
                f"settings file {path}: there is no setting {key!r}; "
                "`simpleindex-server serve --help` lists them all"
            )
        if name in found:
            raise ConfigError(f"settings file {path}: {key!r} is there twice, as {name!r} too")
        found[name] = value
    return found
