"""A real Prometheus that scrapes a real exporter, both as processes of a test."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcloud.state_dir import FOREIGN_VARIABLES
from tests.local.account import TestAccount, eventually
from tools.prometheus import Prometheus

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "dashboards" / "prometheus" / "spotproof.rules.yml"
INTERVAL_S: Final = 1
CONFIGURATION: Final = """
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: spotproof
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A Prometheus that runs."""

    url: str
    began: float  # s since 1970: before its first scrape

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API; a query that it refuses fails with its own words."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode(errors='replace')}") from error

    def now(self, query: str) -> list[float]:
        """The values of an instant query."""
        return [float(each["value"][1]) for each in self.api("query", query=query)["result"]]

    def series(self, query: str) -> list[list[float]]:
        """Each series of a query over all the time since the first scrape."""
        end = time.time()
        found = self.api("query_range", query=query, start=f"{self.began}", end=f"{end}", step=f"{INTERVAL_S}")
        return [[float(value) for _, value in each["values"]] for each in found["result"]]

    def wait(self, query: str, *, timeout_s: float = 60.0) -> None:
        """Until the query gives something."""
        eventually(lambda: self.now(query), f"{query} in Prometheus", timeout_s=timeout_s)

    @property
    def age_s(self) -> int:
        """Whole seconds since before the first scrape."""
        return int(time.time() - self.began) + 1


@contextmanager
def running_exporter(account: TestAccount) -> Iterator[str]:
    """`spotproof exporter` on the account; its URL. It must end well when it is told to."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment: Mapping[str, str] = {**kept, **account.state.client_environment(account.running)}
    command = [sys.executable, "-m", "spotproof_cli", "exporter", "--listen", "127.0.0.1:0", "--interval", "1"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()  # it says so once it listens
        match = re.search(r"serving (http://\S+),", line)
        assert match is not None, line + process.stderr.read()
        yield match[1]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert said == "", said  # no source failed in all that time


@contextmanager
def running_prometheus(programs: Prometheus, *, target: str, directory: Path) -> Iterator[Server]:
    """A Prometheus with our rules that scrapes the exporter each second."""
    configuration = directory / "prometheus.yml"
    text = CONFIGURATION.format(interval=INTERVAL_S, rules=RULES, target=urllib.parse.urlsplit(target).netloc)
    configuration.write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.time()
    command = [
        str(programs.server), f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        server = Server(url=f"http://127.0.0.1:{port}", began=began)
        eventually(lambda: is_ready(server, process), "a ready Prometheus", timeout_s=60)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def is_ready(server: Server, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Prometheus ended at its start"
    try:
        with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
