"""The HTTP endpoint that Prometheus scrapes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server

from spotproof.errors import ConfigurationError, InputError

_LISTEN: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `--listen`; port 0 is any free one.

    Raises:
        InputError: it is no HOST:PORT.
    """
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise InputError(f"--listen must be HOST:PORT such as 127.0.0.1:9108 or [::1]:9108, got {text!r}")
    return match["host"].strip("[]"), int(match["port"])


@contextmanager
def served(registry: CollectorRegistry, *, host: str, port: int) -> Iterator[str]:
    """Serve the registry until the block ends; its URL.

    Raises:
        ConfigurationError: the address can't be listened on.
    """
    try:
        server, _thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {host}:{port}: {error}; choose another with --listen") from error
    try:
        shown_host = f"[{host}]" if ":" in host else host
        yield f"http://{shown_host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
