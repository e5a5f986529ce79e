"""An S3-shaped HTTP server in this process, for clients that speak to sockets; any of its answers can be a fault."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.servers.http import Answer, HttpServer, Request
from bench.servers.null import NullS3, refusal

HEADERS = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


class S3Server:
    """Answers as S3 does, but for the faults in `next_answers`, each of which answers one request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._http = HttpServer(self._respond, tls=tls)
        self.start_over()

    @property
    def url(self) -> str:
        return self._http.url

    def start_over(self, *buckets: str) -> None:
        """Empty buckets, no requests yet, no faults to come."""
        self.next_answers: list[Answer] = []
        self.requests: list[Request] = []
        self.answering = threading.Event()  # cleared: requests wait for their answers
        self.answering.set()
        self._s3 = NullS3(*buckets)

    def refuse(self, *refusals: tuple[int, str]) -> None:
        """Answer the next requests with these status codes and error codes of S3."""
        self.next_answers += [refusal(status, code) for status, code in refusals]

    def cut_reads(self, data: bytes, *, after_bytes: int, times: int = 1) -> None:
        """Break the connection of the next whole reads of an object with these bytes within its body."""
        self.next_answers += [Answer(headers=HEADERS, body=data, cut_after=after_bytes)] * times

    def cut_ranges(self, data: bytes, *, after_bytes: int, times: int = 1) -> None:
        """The same for reads of a range that holds all of the object."""
        headers = {**HEADERS, "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
        self.next_answers += [Answer(status=206, headers=headers, body=data, cut_after=after_bytes)] * times

    @contextmanager
    def serving(self) -> Iterator["S3Server"]:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _respond(self, request: Request) -> Answer:
        self.requests.append(request)
        self.answering.wait()
        return self.next_answers.pop(0) if self.next_answers else self._s3(request)
