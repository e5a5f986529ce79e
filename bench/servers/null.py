"""An S3-shaped server in memory, fast enough not to be what is measured: `python -m bench.servers.null`.

It checks no signatures and no checksums, and entity tags are numbers: a client is measured here, not a service.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from bench.servers.certificate import server_context
from bench.servers.http import Answer, HttpServer, Request
from bench.servers.objects import Objects, StoredObject
from bench.servers.pace import Shape

PAGE_KEYS_MAX: Final = 1000
KEPT_HEADERS: Final = ("content-type", "content-encoding", "cache-control")
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
STAMP: Final = "2026-01-01T00:00:00.000Z"


class NullS3:
    """Answers S3's object, bucket and multipart requests, path style."""

    def __init__(self, *buckets: str) -> None:
        self.objects = Objects()
        self.objects.buckets |= {bucket: {} for bucket in buckets}

    def __call__(self, request: Request) -> Answer:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if not key and request.method == "PUT":
            self.objects.buckets.setdefault(bucket, {})
            return Answer()
        if bucket not in self.objects.buckets:
            return refusal(404, "NoSuchBucket")
        if not key:
            return self._answer_bucket(request, bucket)
        if {"uploads", "uploadId"} & request.query.keys():
            return self._answer_upload(request, bucket, key)
        return self._answer_object(request, bucket, key)

    def _answer_bucket(self, request: Request, bucket: str) -> Answer:
        match request.method:
            case "POST" if "delete" in request.query:
                return self._delete_many(request, bucket)
            case "GET" if request.query.get("list-type") == "2":
                return self._list(request, bucket)
            case "GET" | "HEAD":
                return Answer()
        return refusal(405, "MethodNotAllowed")

    def _answer_object(self, request: Request, bucket: str, key: str) -> Answer:
        match request.method:
            case "PUT":
                return self._put(request, bucket, key)
            case "GET" | "HEAD":
                stored = self.objects.buckets[bucket].get(key)
                return _read(request, stored) if stored else refusal(404, "NoSuchKey")
            case "DELETE":
                self.objects.delete(bucket, key)
                return Answer(status=204)
        return refusal(405, "MethodNotAllowed")

    def _put(self, request: Request, bucket: str, key: str) -> Answer:
        headers = _kept(request)
        if_absent = request.headers.get("if-none-match") == "*"
        stored = self.objects.write(bucket, key, request.body, headers, if_absent=if_absent)
        return Answer(headers={"ETag": stored.etag}) if stored else refusal(412, "PreconditionFailed")

    def _answer_upload(self, request: Request, bucket: str, key: str) -> Answer:
        if "uploads" in request.query:
            upload_id = f"upload-{self.objects.number()}"
            self.objects.uploads[upload_id] = (bucket, key, _kept(request), {})
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        upload = self.objects.uploads.get(request.query["uploadId"])
        if upload is None or upload[:2] != (bucket, key):
            return refusal(404, "NoSuchUpload")
        match request.method:
            case "PUT":
                upload[3][int(request.query["partNumber"])] = request.body
                return Answer(headers={"ETag": f'"{self.objects.number():032x}"'})
            case "POST":
                return self._complete(request, bucket, key)
        self.objects.uploads.pop(request.query["uploadId"], None)
        return Answer(status=204)

    def _complete(self, request: Request, bucket: str, key: str) -> Answer:
        *_, headers, parts = self.objects.uploads.pop(request.query["uploadId"])
        whole, position = self.objects.buffers.take(sum(map(len, parts.values()))), 0
        for number in sorted(parts):
            whole[position : position + len(parts[number])] = parts[number]
            position += len(parts[number])
            self.objects.buffers.give_back(parts[number])
        if_absent = request.headers.get("if-none-match") == "*"
        stored = self.objects.write(bucket, key, whole, headers, if_absent=if_absent)
        if stored is None:
            return refusal(412, "PreconditionFailed")
        return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(stored.etag)}</ETag>")

    def _delete_many(self, request: Request, bucket: str) -> Answer:
        root = ElementTree.fromstring(bytes(request.body))
        keys = [each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == "Key"]
        for key in keys:
            self.objects.delete(bucket, key)
        quiet = any(each.tag.rpartition("}")[2] == "Quiet" and each.text == "true" for each in root.iter())
        told = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return _xml("DeleteResult", told)

    def _list(self, request: Request, bucket: str) -> Answer:
        prefix = request.query.get("prefix", "")
        after = request.query.get("continuation-token") or request.query.get("start-after", "")
        limit = min(PAGE_KEYS_MAX, int(request.query.get("max-keys", PAGE_KEYS_MAX)))
        found = [item for item in self.objects.below(bucket, prefix) if item[0] > after]
        page, is_cut = found[:limit], len(found) > limit
        told = f"<IsTruncated>{str(is_cut).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>"
        if is_cut:
            told += f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>"
        told += "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{STAMP}</LastModified><ETag>{escape(stored.etag)}</ETag>"
            f"<Size>{len(stored.data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, stored in page
        )
        return _xml("ListBucketResult", told)


def refusal(status: int, code: str) -> Answer:
    """S3's error with its code as the text."""
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return Answer(status=status, headers={"Content-Type": "application/xml"}, body=body)


def _read(request: Request, stored: StoredObject) -> Answer:
    headers = {"ETag": stored.etag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
    headers |= stored.headers
    size_bytes = len(stored.data)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not asked:
        return Answer(headers=headers, body=memoryview(stored.data), holds=stored)
    first, last = int(asked[1]), min(int(asked[2] or size_bytes - 1), size_bytes - 1)
    if first >= size_bytes:
        return refusal(416, "InvalidRange")
    headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    return Answer(status=206, headers=headers, body=memoryview(stored.data)[first : last + 1], holds=stored)


def _kept(request: Request) -> dict[str, str]:
    kept = {name: value for name, value in request.headers.items() if name.startswith("x-amz-meta-")}
    kept |= {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    if "aws-chunked" in kept.get("content-encoding", ""):
        del kept["content-encoding"]
    return kept


def _xml(name: str, content: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{content}</{name}>'.encode()
    return Answer(headers={"Content-Type": "application/xml"}, body=body)


def main() -> int:
    """Serve until standard input ends; the first line of standard output is the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="between a request and its answer")
    parser.add_argument("--mbps", type=float, default=0.0, help="10^6 bytes per second and connection; 0: no limit")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="with the certificate that is made there")
    parser.add_argument("--bucket", default="bench")
    chosen = parser.parse_args()
    null = NullS3(chosen.bucket)
    server = HttpServer(
        null,
        port=chosen.port,
        shape=Shape(latency_s=chosen.latency_ms / 1000, bytes_per_s=chosen.mbps * 1e6),
        tls=server_context(chosen.tls) if chosen.tls else None,
        take_memory=null.objects.buffers.take,
    )
    print(server.url, flush=True)
    serve_until_end_of_input(server)
    return 0


def serve_until_end_of_input(server: HttpServer) -> None:
    """Whoever started this ends it by closing the pipe, also by dying."""
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    sys.exit(main())
