"""The bootstrap, as the text that travels in the job definition, against servers that stand for AWS."""

import datetime
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import app
from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.bootstrap_text import BYTES_MAX, bootstrap_text
from stacks.compute import BOOTSTRAP

SOURCE = app.ROOT / BOOTSTRAP
CODE_URI = "s3://assets-bucket/0123abcd.zip"
SECRETS = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "not/a+secret", "Token": "session/token+1=="}
PROGRAM = """
import sys, os, helper
print(helper.GREETING, sys.argv[1:], __name__, os.path.dirname(helper.__file__) == os.environ["SPOTPROOF_CODE_DIR"])
sys.exit(int(sys.argv[1]))
"""


def bundle_bytes() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        bundle.writestr("worker_program.py", PROGRAM)
        bundle.writestr("helper.py", "GREETING = 'hello from the bundle'")
    return content.getvalue()


class Server(ThreadingHTTPServer):
    """Credentials of the container under /credentials, the bundle everywhere else."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: list[int] = []  # status codes to give first, instead of the bundle
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/credentials":
            self._reply(200, json.dumps(SECRETS).encode())
            return
        self.server.asked.set()
        self.server.go_on.wait(30)
        status = self.server.answers.pop(0) if self.server.answers else 200
        self._reply(status, bundle_bytes() if status == 200 else b"<Error/>")

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def variables(server: Server, tmp_path: Path) -> dict[str, str]:
    """Environment of the container."""
    return {
        contract.ENV_CODE_URI: CODE_URI,
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "agent token",
        "TMPDIR": str(tmp_path),
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-c", bootstrap_text(SOURCE), "worker_program", *arguments]


def start(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same program as a module, with waiting replaced by a list of what it would have waited."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    monkeypatch.setattr(module, "env", {"AWS_REGION": "eu-west-1"})
    module.__dict__["pauses"] = pauses
    return module


def test_it_runs_the_module_from_the_bundle_with_the_rest_of_the_arguments(
    server: Server, variables: dict[str, str]
) -> None:
    done = start(variables, "7", "--run", "r 1")

    assert done.stderr == ""
    assert done.stdout == "hello from the bundle ['7', '--run', 'r 1'] __main__ True\n"
    assert done.returncode == 7  # the module's own


def test_its_signature_is_the_one_that_botocore_computes(server: Server, variables: dict[str, str]) -> None:
    start(variables, "0")

    path, sent = server.requests[-1]
    request = AWSRequest("GET", server.url + path, headers={"X-Amz-Content-SHA256": sent["x-amz-content-sha256"]})
    request.context["timestamp"] = sent["x-amz-date"]
    signer = S3SigV4Auth(
        Credentials(SECRETS["AccessKeyId"], SECRETS["SecretAccessKey"], SECRETS["Token"]), "s3", "eu-west-1"
    )
    when = datetime.datetime.strptime(sent["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: when)
        signer.add_auth(request)
    assert sent["authorization"].replace(",", ", ") == request.headers["Authorization"]
    assert sent["x-amz-security-token"] == SECRETS["Token"]
    assert path == "/assets-bucket/0123abcd.zip"


def test_it_shows_the_agent_its_token(server: Server, variables: dict[str, str]) -> None:
    start(variables, "0")

    path, sent = server.requests[0]
    assert (path, sent["authorization"]) == ("/credentials", "agent token")


def test_a_second_worker_on_the_same_disk_does_not_fetch_again(server: Server, variables: dict[str, str]) -> None:
    start(variables, "0")
    server.requests.clear()

    assert start(variables, "0").stdout.startswith("hello from the bundle")
    assert server.requests == []


def test_another_bundle_is_fetched_beside_the_first(server: Server, variables: dict[str, str]) -> None:
    start(variables, "0")

    start({**variables, contract.ENV_CODE_URI: "s3://assets-bucket/other.zip"}, "0")

    assert server.paths()[-1] == "/assets-bucket/other.zip"


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final_and_told_in_one_line(server: Server, variables: dict[str, str], status: int) -> None:
    server.answers = [status]

    done = start(variables, "0")

    assert done.returncode == contract.EXIT_AWS
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"spotproof: cannot fetch {CODE_URI}: HTTP Error {status}")
    assert "deploy again" in line
    assert server.paths().count("/assets-bucket/0123abcd.zip") == 1


def test_a_stop_before_the_worker_can_listen_makes_batch_try_again(server: Server, variables: dict[str, str]) -> None:
    server.go_on.clear()
    with subprocess.Popen(command("0"), env=variables, stderr=subprocess.PIPE) as process:
        assert server.asked.wait(30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == contract.EXIT_INTERRUPTED


def test_trouble_that_passes_is_retried(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Exception] = [
        urllib.error.HTTPError("u", 503, "SlowDown", {}, None),  # type: ignore[arg-type]
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
    ]
    monkeypatch.setattr(bootstrap, "get_object", lambda *_: next_answer(failures))

    assert bootstrap.download(CODE_URI) == b"bundle"
    assert bootstrap.pauses == [1, 2, 4]


def next_answer(failures: list[Exception]) -> bytes:
    if failures:
        raise failures.pop(0)
    return b"bundle"


def test_it_gives_up_after_five_tries(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures: list[Exception] = [TimeoutError("timed out")] * 9
    monkeypatch.setattr(bootstrap, "get_object", lambda *_: next_answer(failures))

    with pytest.raises(SystemExit) as caught:
        bootstrap.download(CODE_URI)

    assert caught.value.code == contract.EXIT_AWS
    assert len(failures) == 4
    assert "timed out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://assets-bucket.s3.eu-west-1.amazonaws.com/a.zip"),
        ("cn-north-1", "https://assets-bucket.s3.cn-north-1.amazonaws.com.cn/a.zip"),
    ],
)
def test_on_aws_it_asks_the_bucket_itself_with_the_role_of_the_task(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, region: str, url: str
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def fetch(address: str, headers: dict[str, str]) -> bytes:
        asked.append((address, headers))
        return json.dumps(SECRETS).encode()

    monkeypatch.setattr(bootstrap, "fetch", fetch)
    bootstrap.env.update(AWS_REGION=region, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/1")

    bootstrap.get_object("assets-bucket", "a.zip")

    assert [address for address, _ in asked] == ["http://169.254.170.2/v2/credentials/1", url]
    assert asked[0][1] == {}
    assert asked[1][1]["host"] == url.split("/")[2]


def test_somebody_elses_directory_is_not_trusted(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "download", lambda _: bundle_bytes())
    monkeypatch.setattr(bootstrap.tempfile, "tempdir", str(tmp_path))
    planted = Path(bootstrap.unpack(CODE_URI))
    (planted / "helper.py").write_text("evil")
    monkeypatch.setattr(bootstrap.os, "getuid", lambda: os.stat(planted).st_uid + 1)

    chosen = Path(bootstrap.unpack(CODE_URI))

    assert chosen != planted
    assert "evil" not in (chosen / "helper.py").read_text()


def test_the_text_is_small_and_has_no_prose(tmp_path: Path) -> None:
    text = bootstrap_text(SOURCE)

    assert len(text.encode()) <= BYTES_MAX
    assert '"""' not in text
    assert "#" not in text
    assert "->" not in text


def test_a_bootstrap_that_grew_too_big_is_refused_at_synthesis(tmp_path: Path) -> None:
    source = tmp_path / "bootstrap.py"
    source.write_text(f"x = '{'x' * BYTES_MAX}'\n")

    with pytest.raises(ConfigurationError, match=rf"bootstrap.py is \d+ bytes as a command, at most {BYTES_MAX} fit"):
        bootstrap_text(source)
