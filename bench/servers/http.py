"""As much HTTP/1.1 as S3 clients speak, over sockets that fill and send memory without copying it."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from bench.servers.pace import SLICE_BYTES, Pace, Shape

LINE_MAX: Final = 65_536
Body: TypeAlias = bytes | bytearray | memoryview
NOTHING: Final = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request with its whole body."""

    method: str
    path: str  # decoded, without the query
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytearray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = NOTHING  # of a HEAD request only the length is sent
    cut_after: int | None = None  # the connection ends after so many bytes of the body
    holds: object = None  # stays alive until the answer was sent: whose memory the body is


Respond: TypeAlias = Callable[[Request], Answer]
TakeMemory: TypeAlias = Callable[[int], bytearray]


class HttpServer(ThreadingTCPServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        respond: Respond,
        *,
        port: int = 0,
        shape: Shape | None = None,
        tls: ssl.SSLContext | None = None,
        take_memory: TakeMemory = bytearray,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.respond = respond
        self.shape = shape or Shape()
        self.tls = tls
        self.take_memory = take_memory

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a word."""


class _Connection(StreamRequestHandler):
    server: HttpServer
    rfile: BufferedReader
    rbufsize = 64 * 1024
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if self.server.tls:
            self.request.settimeout(10)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self._pace = Pace(self.server.shape)

    def handle(self) -> None:
        with suppress(OSError, EOFError):
            while request := self._read_request():
                answer = self.server.respond(request)
                self._pace.answer()
                self._send(request, answer)
                if answer.cut_after is not None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return

    def _read_request(self) -> Request | None:
        start = self.rfile.readline(LINE_MAX).split()
        if len(start) != 3:
            return None
        headers: dict[str, str] = {}
        while line := self.rfile.readline(LINE_MAX).strip():
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        if headers.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        target = urlsplit(start[1].decode("latin-1"))
        return Request(
            method=start[0].decode("latin-1"),
            path=unquote(target.path),
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers=headers,
            body=self._read_body(headers),
        )

    def _read_body(self, headers: dict[str, str]) -> bytearray:
        if headers.get("transfer-encoding") == "chunked":
            body = self._read_chunks()
        else:
            body = self.server.take_memory(int(headers.get("content-length", 0)))
            self._fill(memoryview(body))
        return _without_signatures(body) if "aws-chunked" in headers.get("content-encoding", "") else body

    def _read_chunks(self) -> bytearray:
        body = bytearray()
        while size_bytes := int(self.rfile.readline(LINE_MAX).split(b";")[0], 16):
            start = len(body)
            body += bytes(size_bytes)
            self._fill(memoryview(body)[start:])
            self.rfile.readline(LINE_MAX)
        while self.rfile.readline(LINE_MAX).strip():
            pass  # trailers
        return body

    def _fill(self, memory: memoryview) -> None:
        step = SLICE_BYTES if self._pace.is_slowed else len(memory)
        for first in range(0, len(memory), step or 1):
            part = memory[first : first + step]
            if self.rfile.readinto(part) != len(part):
                raise EOFError
            if self._pace.is_slowed:
                self._pace.carry(len(part))

    def _send(self, request: Request, answer: Answer) -> None:
        body = memoryview(answer.body if request.method != "HEAD" else NOTHING)
        lines = [f"HTTP/1.1 {answer.status} -", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        body = body if answer.cut_after is None else body[: answer.cut_after]
        if len(body) < SLICE_BYTES:
            self.connection.sendall(head + body)
            return
        self.connection.sendall(head)
        step = SLICE_BYTES if self._pace.is_slowed else len(body)
        for first in range(0, len(body), step):
            part = body[first : first + step]
            if self._pace.is_slowed:
                self._pace.carry(len(part))
            self.connection.sendall(part)


def _without_signatures(body: bytearray) -> bytearray:
    """The content of an aws-chunked body (S3 API reference, "SigV4 streaming"): sizes in hexadecimal, CRLF, bytes, CRLF."""
    content, position = bytearray(), 0
    while True:
        line_end = body.index(b"\r\n", position)
        size_bytes = int(body[position:line_end].split(b";")[0], 16)
        if not size_bytes:
            return content
        start = line_end + 2
        content += memoryview(body)[start : start + size_bytes]
        position = start + size_bytes + 2
