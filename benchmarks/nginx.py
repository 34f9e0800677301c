"""nginx, which several benchmarks start: where it is, and as whom its worker runs."""

import grp
import os
import pwd
import shutil


def find_nginx() -> str | None:
    """Its program; None where it is not installed."""
    # Debian keeps it in /usr/sbin, which is not on everybody's PATH.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def worker_user() -> str:
    """The line of its settings that names the worker's user; nothing where it has no choice."""
    if os.geteuid() != 0:
        return ""
    # Started by root, the worker would become a user who cannot read our folder.
    user = pwd.getpwuid(os.geteuid()).pw_name
    return f"user {user} {grp.getgrgid(os.getegid()).gr_name};"
