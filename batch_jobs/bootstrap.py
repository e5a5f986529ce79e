"""First program in the container: fetches the worker bundle from S3 and runs a module of it.

It travels as text in the job definition's command (see stacks/bootstrap_text.py), because the image is the plain public
Python one: so it is small, and uses the standard library only. `python3 -c <this> <module> <arguments...>`.
"""

import hashlib
import hmac
import io
import json
import os
import runpy
import signal
import sys
import tempfile
import time
import urllib.request
import zipfile

env = os.environ  # noqa: TID251 - spotproof.settings is in the bundle that is yet to be fetched


def fetch(url: str, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - S3, or the endpoint the environment names
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return reply.read()  # type: ignore[no-any-return]


def credentials() -> dict[str, str]:
    """Of the job role, from the container agent (AWS SDK guide, "Container credential provider")."""
    path = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = "http://169.254.170.2" + path if path else env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    return json.loads(fetch(url, {"Authorization": token} if token else {}))  # type: ignore[no-any-return]


def get_object(bucket: str, key: str) -> bytes:
    """The object, by a GET signed with Signature Version 4 (S3 API reference, "Authenticating requests")."""
    region, endpoint, creds = env["AWS_REGION"], env.get("AWS_ENDPOINT_URL"), credentials()
    dots = ".cn" if region.startswith("cn-") else ""
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com{dots}"
    url = f"{base}/{key}"
    host, _, path = url.split("://")[1].partition("/")
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": now, "x-amz-security-token": creds["Token"]}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = hashlib.sha256(f"GET\n/{path}\n\n{lines}\n{names}\n{empty}".encode()).hexdigest()
    method, scope = "AWS4-HMAC-SHA256", f"{now[:8]}/{region}/s3/aws4_request"
    signature = ("AWS4" + creds["SecretAccessKey"]).encode()
    for text in (*scope.split("/"), f"{method}\n{now}\n{scope}\n{request}"):
        signature = hmac.digest(signature, text.encode(), "sha256")
    owner = f"{creds['AccessKeyId']}/{scope}"
    headers["authorization"] = f"{method} Credential={owner},SignedHeaders={names},Signature={signature.hex()}"
    return fetch(url, headers)


def download(uri: str) -> bytes:
    """The bundle, in at most five tries; a refusal is final."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    for pause in (1, 2, 4, 8, 0):
        try:
            return get_object(bucket, key)
        except Exception as error:
            reason = error
            if getattr(error, "code", 500) in (400, 403, 404):
                break
            time.sleep(pause)  # noqa: TID251
    print(f"spotproof: cannot fetch {uri}: {reason}; deploy again, or let the job role read it", file=sys.stderr)
    sys.exit(4)


def unpack(uri: str) -> str:
    """Directory with the bundle's content, shared by the workers of one user on one disk."""
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    home = os.path.join(tempfile.gettempdir(), "spotproof-" + name)
    if os.path.isdir(home) and os.stat(home).st_uid == os.getuid():
        return home
    fresh = tempfile.mkdtemp()
    with zipfile.ZipFile(io.BytesIO(download(uri))) as bundle:
        bundle.extractall(fresh)
    try:
        os.rename(fresh, home)
    except OSError:  # another worker was faster
        return fresh
    return home


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))  # stopped before the worker could listen: try again
    env["SPOTPROOF_CODE_DIR"] = unpack(env["SPOTPROOF_CODE"])
    sys.path.insert(0, env["SPOTPROOF_CODE_DIR"])
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
