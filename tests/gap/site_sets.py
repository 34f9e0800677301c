"""What sites of different kinds could want, of real projects; and the index that has them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from packaging.utils import canonicalize_name

from simpleindex.gap.releases import SourceTrouble
from simpleindex.gap.source import IndexSource, open_source, usual_url
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wishes import Line, parse_line
from simpleindex_storage.errors import Refused

SIX = ("pandas", "requests", "lxml", "pyodbc", "opencv-python-headless", "paramiko")
"""Much of it is compiled, and old Pythons get old releases."""

SMALL = ("requests", "loguru", "docker", "pyyaml", "paramiko", "click")
"""Little of it is, and much of it depends on the platform."""

MANY = (
    "django<6", "celery[redis]", "ansible-core", "pywinrm[credssp]", "netmiko", "pandas",
    "scikit-learn", "boto3", "kubernetes", "oracledb", "mysqlclient", "python-ldap",
    "pywin32; sys_platform == 'win32'", "requests", "paramiko", "lxml", "pyodbc", "flask",
    "sqlalchemy", "psycopg2-binary", "cryptography", "jinja2", "pyyaml", "openpyxl", "xlsxwriter",
    "numpy", "matplotlib", "scipy", "pytest", "click", "rich", "pydantic", "fastapi",
    "gunicorn; sys_platform != 'win32'", "docker", "ldap3", "loguru",
)  # fmt: skip
"""A site that automates; some of it has no wheel for some of the hosts."""

TARGETS = tuple(
    f"{python}-{platform}"
    for python in ("3.6.15", "3.7.17", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0")
    for platform in ("manylinux_2_17_x86_64", "win_amd64")
)

ANYWHERE = ("0.0.0.0/0", "::/0")
"""Where the files of the index of pip may lie: pip goes wherever it leads to, too."""


def targets() -> tuple[Target, ...]:
    return tuple(map(parse_target, TARGETS))


def lines(texts: tuple[str, ...]) -> tuple[Line, ...]:
    return tuple(map(parse_line, texts))


class NoIndex(Exception):
    """Pip uses none here, or it does not answer; why is its text."""


def index_url() -> str:
    """The index of the pip of this machine. Raises NoIndex."""
    try:
        return usual_url(os.environ)
    except Refused as refused:
        raise NoIndex(str(refused)) from None


@contextmanager
def real_index() -> Iterator[IndexSource]:
    """It, as a source. Raises NoIndex."""
    with open_source(index_url(), private_hosts=ANYWHERE) as source:
        try:
            found = source.releases(canonicalize_name("pip"))
        except SourceTrouble as trouble:
            raise NoIndex(str(trouble)) from None
        if found is None:
            raise NoIndex("it has no pip")
        yield source
