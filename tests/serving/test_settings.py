"""Settings that are read again: what of them a running server takes, in one record for all."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from simpleindex.config import Config, ConfigError
from simpleindex.serving.settings import Settings
from tests.certificates import Certificate, a_certificate


def with_tls(config: Config, made: Certificate) -> Config:
    return replace(config, tls_cert=made.cert, tls_key=made.key)


def test_what_takes_a_restart_stays_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "simpleindex")
    begun = Config(serverdir=tmp_path / "one", port=3141)
    now = Config(serverdir=tmp_path / "other", port=80, workers=9, login_seconds=60)
    settings = Settings(begun, lambda: now)
    reading = settings.read()
    assert reading.config == replace(begun, login_seconds=60)
    assert settings.current == begun
    settings.take(reading)
    assert settings.current == reading.config
    (told,) = caplog.messages
    assert told.endswith("changed: login_seconds; not before a restart: serverdir, port, workers")


def test_tls_is_neither_begun_nor_ended_before_a_restart(tmp_path: Path) -> None:
    plain, encrypted = Config(), with_tls(Config(), a_certificate(tmp_path))
    for settings in (Settings(plain, lambda: encrypted), Settings(encrypted, lambda: plain)):
        with pytest.raises(ConfigError, match="cannot be set or unset before a restart"):
            settings.read()


def test_another_certificate_is_taken_if_it_can_be_used(tmp_path: Path) -> None:
    made, other = a_certificate(tmp_path, "one"), a_certificate(tmp_path, "other")
    settings = Settings(with_tls(Config(), made), lambda: with_tls(Config(), other))
    reading = settings.read()
    assert reading.tls is not None and reading.tls.cert == other.cert
    assert reading.taken == ("tls_cert", "tls_key")
    mixed = replace(with_tls(Config(), made), tls_key=other.key)
    with pytest.raises(ConfigError, match="does not belong"):
        Settings(with_tls(Config(), made), lambda: mixed).read()
