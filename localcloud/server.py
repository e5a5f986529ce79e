"""The server process of one local account: `python -m localcloud.server SETTINGS-JSON`."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from localcloud.errors import ConfigurationError, ConflictError, LocalcloudError
from localcloud.processes import kill_orphans
from localcloud.settings import ROOT_SECRET, Settings
from localcloud.state_dir import Running, StateDir

if TYPE_CHECKING:
    from localcloud.account import Account

logger = logging.getLogger("localcloud.server")

PARENT_CHECK_S = 1.0
BACKLOG = 512


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes any free one.

    Raises:
        ConflictError: if the port is taken.
        ConfigurationError: if this user may not listen on it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(f"port {port} is in use: choose another with --port, or leave it out") from error
        raise ConfigurationError(f"port {port} can't be used ({error.strerror}): choose another with --port") from error
    listener.listen(BACKLOG)
    return listener


def prepare_environment(settings: Settings, port: int) -> None:
    """Set what the emulator reads when it is imported."""
    os.environ.update(
        {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": settings.account,
            "MINISTACK_REGION": settings.region,
            "AUTH": "true" if settings.auth else "false",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "S3_PERSIST": "0",
            "DOCKER_HOST": "unix:///nonexistent",
            "LOG_LEVEL": "WARNING",
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(60 / settings.scale),
            "AWS_ACCESS_KEY_ID": settings.account,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
        }
    )


class Server:
    """Runs until it is told to stop, and leaves no process behind."""

    def __init__(self, settings: Settings, state: StateDir) -> None:
        self._settings = settings
        self._state = state
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve. Blocks.

        Raises:
            LocalcloudError: if the account can't start; nothing is left running.
        """
        listener = listen(self._settings.port)
        port = listener.getsockname()[1]
        prepare_environment(self._settings, port)
        from localcloud.account import Account
        from localcloud.seams import Seams

        endpoint = f"http://127.0.0.1:{port}"
        account = Account(settings=self._settings, endpoint=endpoint, state=self._state, seams=Seams())
        account.start()
        try:
            asyncio.run(self._serve(account, listener))
        finally:
            self._state.forget_running()
            account.stop()

    async def _serve(self, account: "Account", listener: socket.socket) -> None:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        from localcloud.admin import Admin
        from localcloud.gateway import Gateway

        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.keep_alive_timeout = 75
        config.graceful_timeout = 1
        config.shutdown_timeout = 1
        config.loglevel = "WARNING"

        def started() -> None:
            threading.Thread(target=self._announce, args=(account,), name="announce", daemon=True).start()

        gateway = Gateway(application=account.seams.app.app, admin=Admin(account), on_started=started)
        self._watch_parent()
        await serve(gateway, config, shutdown_trigger=self._stop.wait)  # type: ignore[arg-type]

    def _announce(self, account: "Account") -> None:
        from localcloud.bootstrap import bootstrap

        settings = self._settings
        try:
            bootstrap(account.client, account=settings.account, region=settings.region)
        except Exception:
            logger.exception("bootstrap failed")
            self._request_stop()
            return
        running = Running(
            pid=os.getpid(),
            port=int(account.endpoint.rpartition(":")[2]),
            account=settings.account,
            region=settings.region,
            auth=settings.auth,
            scale=settings.scale,
            seed=settings.seed,
            ministack=account.seams.version,
            started_at=time.time(),
            metadata_url=account.metadata.url,
        )
        account.usage.reset()
        self._state.write_running(running)

    def _watch_parent(self) -> None:
        parent = self._settings.parent_pid
        if parent is not None:
            threading.Thread(target=self._until_gone, args=(parent,), name="parent-watch", daemon=True).start()

    def _until_gone(self, parent: int) -> None:
        while True:
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                self._request_stop()
                return
            except PermissionError:
                pass  # alive, and somebody else's
            time.sleep(PARENT_CHECK_S)

    def _request_stop(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stop.set)


def main(arguments: list[str]) -> int:
    """Run the server; the last line of its log says why it could not start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings.from_json(arguments[0])
    state = StateDir(settings.state_path)
    try:
        if state.lock() is None:
            raise ConflictError(f"a local account runs in {state.path} already")
        state.forget_running()
        kill_orphans(state.instances)
        Server(settings, state).run()
    except LocalcloudError as error:
        print(f"error {error.exit_code}: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
