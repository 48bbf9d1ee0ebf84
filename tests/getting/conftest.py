"""A stand-in for IDC's public buckets: what s5cmd asks of S3, answered from memory, with failures on request."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket(ThreadingHTTPServer):
    """Objects by key; `broken` keys are cut off halfway, and every key that was asked for is noted in `sent`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.sent: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(200, b"", {"x-amz-bucket-region": "us-east-1"})

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query, keep_blank_values=True)
        if "list-type" in query:
            self._list(query["prefix"][0])
            return
        if "location" in query:
            self._answer(200, f'<LocationConstraint xmlns="{NAMESPACE}"/>'.encode())
            return
        key = unquote(asked.path).lstrip("/").split("/", 1)[1]
        content = self.server.objects.get(key)
        if content is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        self.server.sent.append(key)
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        stop = min(int(last) + 1 if last else len(content), len(content))
        part = content[int(first) : stop]
        if key in self.server.broken:
            self.send_response(206)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return
        self._answer(206, part, {"Content-Range": f"bytes {first}-{stop - 1}/{len(content)}"})

    def _list(self, prefix: str) -> None:
        found = {key: body for key, body in self.server.objects.items() if key.startswith(prefix)}
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size><ETag>&quot;e&quot;</ETag>"
            "<LastModified>2020-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
            for key, body in sorted(found.items())
        )
        listing = (
            f'<ListBucketResult xmlns="{NAMESPACE}"><Name>b</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(found)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{entries}"
            "</ListBucketResult>"
        )
        self._answer(200, listing.encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/xml",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
