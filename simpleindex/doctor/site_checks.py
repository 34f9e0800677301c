"""Settings, accounts, indexes, and what the catalog says of itself."""

from collections.abc import Iterator

from simpleindex.argon2_hashes import is_argon2
from simpleindex.config import ENVIRONMENT_PREFIX, settings
from simpleindex.doctor.examined import Certificate, Examined
from simpleindex.doctor.exposure import beyond, in_the_open
from simpleindex.doctor.finding import Finding, error, note, ok, unsafe
from simpleindex_storage.model import Index, StageSettings

_MORE_VARIABLES = {f"{ENVIRONMENT_PREFIX}ROOT_PASSWD"}
_NAMES_MAX = 5


def catalog(seen: Examined) -> Iterator[Finding]:
    """Whether it is whole, as far as SQLite can tell."""
    if seen.known is None:
        return
    for each in seen.known.damage:
        yield error(
            "catalog-damaged",
            f"the catalog {each}",
            "`simpleindex-server rebuild` makes it anew; or restore a backup",
        )
    if not seen.known.damage:
        users = _counted(len(seen.known.users), "user", "users")
        indexes = _counted(len(seen.known.indexes), "index", "indexes")
        yield ok("catalog", f"the catalog is whole: {users}, {indexes}")


def environment(seen: Examined) -> Iterator[Finding]:
    """Variables that look like ours and are none."""
    known = {f"{ENVIRONMENT_PREFIX}{entry.name.upper()}" for entry in settings()}
    for name in sorted(seen.variables):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known | _MORE_VARIABLES:
            yield note(
                "variable-unknown",
                f"the environment has {name}, which is no setting",
                "`simpleindex-server config show` lists them all",
            )


def addresses(seen: Examined) -> Iterator[Finding]:
    """Who can reach the server, and whether passwords travel in the open."""
    config = seen.config
    has_tls = seen.certificate is not None
    opened = in_the_open(config.addresses, config.outside_url, has_tls=has_tls)
    if opened:
        yield unsafe(
            "plain-http",
            f"the server listens on {', '.join(opened)} without https: whoever is on the network "
            "reads passwords and tokens",
            "set tls_cert and tls_key; or put a proxy with a certificate in front, listen on "
            "127.0.0.1, and set outside_url",
        )
    elif not beyond(config.addresses):
        yield ok("addresses", "only this machine reaches the server by itself")
    if config.outside_url and not config.trusted_proxy:
        yield note(
            "proxy-untrusted",
            "outside_url is set and trusted_proxy is not: all clients have the proxy's address, "
            "in the log and where wrong passwords are counted",
            "set trusted_proxy to the proxy's address, and let it send X-Forwarded-For",
        )


def sending(seen: Examined) -> Iterator[Finding]:
    """Whether a web server in front sends files by itself, and what it needs for that."""
    config = seen.config
    if config.send_files_by is None:
        return
    if not config.trusted_proxy:
        yield note(
            "sending-idle",
            "send_files_by is set and trusted_proxy is not: all files are sent from here",
            "set trusted_proxy to the proxy's address, and let it send X-Forwarded-For",
        )
    else:
        yield ok(
            "sending",
            f"trusted proxies send large files by themselves ({config.send_files_by}); they have "
            "to run as the directory's owner for that, which nobody has looked at",
        )


def certificate(seen: Examined) -> Iterator[Finding]:
    """Whether the server can serve HTTPS with what it is to, and clients will take it."""
    found = seen.certificate
    if found is None:
        return
    if found.fault is not None:
        yield error(
            "certificate-unusable",
            f"the server does not start: {found.fault}",
            "give it a certificate and the key that belongs to it, both in PEM format",
        )
    for warning in found.warnings:
        yield error(
            "certificate-refused",
            warning,
            "renew it, and send the server a SIGHUP (on Windows start it anew)",
        )
    if found == Certificate():
        yield ok("certificate", f"the certificate {seen.config.tls_cert} is good")


def rights(seen: Examined) -> Iterator[Finding]:
    """Who may change what."""
    if not seen.config.restrict_modify:
        yield unsafe(
            "modify-open",
            "restrict_modify is empty: every user may create users, and indexes of their own",
            "set it to root, unless that is meant",
        )
    if seen.directory.has_first_password:
        yield note(
            "first-password",
            "root still has its first password, which lies in the file root-password",
            "`simpleindex-server passwd root` sets another, and removes the file",
        )
    if seen.known is None:
        return
    if not seen.machine.has_argon2:
        for user in seen.known.users:
            if is_argon2(user.password_hash):
                yield error(
                    "password-unusable",
                    f"{user.name} cannot log in: the password came from devpi-server, and checking "
                    "it needs argon2-cffi",
                    "install simpleindex-server[argon2], or set another: "
                    f"`simpleindex-server passwd {user.name}`",
                )
    lasting = [token for token in seen.known.tokens if token.expires_at is None]
    if lasting:
        names = _some([f"{token.id} of {token.user}" for token in lasting])
        yield note(
            "token-lasting",
            f"{_counted(len(lasting), 'token', 'tokens')} without an end: {names}",
            "`simpleindex-server token revoke ID`, and make them anew with --days",
        )


def indexes(seen: Examined) -> Iterator[Finding]:
    """Settings of indexes that let in more than one may think."""
    for index in seen.known.indexes if seen.known else ():
        if isinstance(index.settings, StageSettings):
            yield from _of_stage(index, index.settings)


def uploads(seen: Examined) -> Iterator[Finding]:
    """Whether what may be uploaded fits."""
    limit, free = seen.config.upload_bytes_max, seen.directory.free_bytes
    if limit > free:
        yield note(
            "upload-limit",
            f"uploads of up to {limit >> 20} MB are taken, and {free >> 20} MB are free",
            "make room, or set upload_bytes_max to less",
        )


def upstreams(seen: Examined) -> Iterator[Finding]:
    """What mirrors show. Nobody is asked, unless with --online."""
    for each in seen.upstreams:
        host = each.host or "the index that pip here uses"
        if each.is_reached is False:
            yield error(
                "upstream-silent",
                f"{each.index} mirrors {host}, which does not answer",
                "look at the network; or set offline_mode, and nothing waits for it",
            )
        else:
            is_asked = ", which answers" if each.is_reached else ""
            yield ok("upstream", f"{each.index} mirrors {host}{is_asked}")


def _of_stage(index: Index, stage: StageSettings) -> Iterator[Finding]:
    uploaders = {
        *stage.acl_upload,
        *(who for some in stage.acl_project_upload.values() for who in some),
    }
    if ":ANONYMOUS:" in uploaders:
        yield unsafe(
            "upload-open",
            f"everybody may upload to {index.name}, without a password",
            f"`simpleindex-server index change {index.name} acl_upload=NAME,...`",
        )
    if stage.volatile and index.automatic:
        yield note(
            "automatic-volatile",
            f"{index.name} was made by itself, and its files may be replaced",
            f"`simpleindex-server index change {index.name} volatile=False`",
        )
    if "*" in stage.mirror_whitelist and stage.bases:
        yield unsafe(
            "whitelist-open",
            f"{index.name} lets mirrors complete every private project (mirror_whitelist=*): a "
            "higher version that somebody uploads out there wins over yours",
            f"`simpleindex-server index change {index.name} mirror_whitelist=NAME,...`",
        )


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
