from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.credentials import Credentials, parse_credentials


def encoded(text: str, encoding: str = "utf-8") -> str:
    return b64encode(text.encode(encoding)).decode()


ROOT = encoded("root:secret")


@pytest.mark.parametrize(
    ("authorization", "devpi_auth", "credentials"),
    [
        pytest.param(None, None, None, id="nobody"),
        pytest.param(f"Basic {ROOT}", None, Credentials("root", "secret"), id="basic"),
        pytest.param(f"basic  {ROOT} ", None, Credentials("root", "secret"), id="basic, odd"),
        pytest.param(None, ROOT, Credentials("root", "secret"), id="devpi"),
        pytest.param(
            f"Basic {encoded('other:x')}", ROOT, Credentials("root", "secret"), id="devpi wins"
        ),
        pytest.param(f"Basic {ROOT}", "?", None, id="unreadable devpi wins too"),
        pytest.param(None, encoded("a:b:c"), Credentials("a", "b:c"), id="colons"),
        pytest.param(None, encoded(":x"), Credentials("", "x"), id="no user"),
        pytest.param(None, encoded("root:"), Credentials("root", ""), id="no secret"),
        pytest.param(None, encoded("root:pässword"), Credentials("root", "pässword"), id="utf-8"),
        pytest.param(
            None, encoded("root:pässword", "latin-1"), Credentials("root", "pässword"), id="latin-1"
        ),
        pytest.param(None, encoded("no colon"), None, id="no colon"),
        pytest.param(None, "", None, id="empty"),
        pytest.param(None, ROOT.rstrip("=")[:-1], None, id="cut off"),
        pytest.param(None, f"{ROOT[:4]}\n{ROOT[4:]}", None, id="line break"),
        pytest.param(None, "é", None, id="not ascii"),
        pytest.param(None, "****", None, id="not base64"),
        pytest.param("Basic", None, None, id="no value"),
        pytest.param(f"Bearer {ROOT}", None, None, id="another scheme"),
        pytest.param(ROOT, None, None, id="no scheme"),
    ],
)
def test_a_user_and_a_secret_come_in_two_headers(
    authorization: str | None, devpi_auth: str | None, credentials: Credentials | None
) -> None:
    assert parse_credentials(authorization, devpi_auth) == credentials


def test_a_secret_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(Credentials("root", "secret"))


@given(authorization=st.none() | st.text() | st.text().map("Basic {}".format), devpi=st.text())
def test_no_header_is_too_odd(authorization: str | None, devpi: str) -> None:
    for found in (parse_credentials(authorization, devpi), parse_credentials(authorization, None)):
        assert found is None or isinstance(found, Credentials)


@given(user=st.text().filter(lambda text: ":" not in text), secret=st.text())
def test_what_was_sent_comes_out(user: str, secret: str) -> None:
    assert parse_credentials(None, encoded(f"{user}:{secret}")) == Credentials(user, secret)
