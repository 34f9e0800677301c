"""Uploads over one kept connection to a real server."""

from base64 import b64encode
from http.client import HTTPConnection

from tests.server import RunningServer


class UploadConnection:
    """A client that is logged in as root and posts form after form."""

    def __init__(self, server: RunningServer, path: str = "/root/local/") -> None:
        account = b64encode(f"root:{server.root_password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {account}"}
        self._path = path
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)

    def __enter__(self) -> "UploadConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, content_type: str, body: bytes) -> tuple[int, str]:
        """Status and text of the answer."""
        headers = self._headers | {"Content-Type": content_type}
        self._connection.request("POST", self._path, body, headers)
        with self._connection.getresponse() as answer:
            return answer.status, answer.read().decode()
