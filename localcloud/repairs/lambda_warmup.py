"""Functions initialized soon after their deployment, as Lambda does proactively, so the first event finds them warm."""

import logging
import queue
import threading

from localcloud.journal import Journal
from localcloud.seams import Seams

logger = logging.getLogger(__name__)


class WarmUp:
    """Starts one execution environment of each requested function, one after the other, in the background."""

    def __init__(self, *, seams: Seams, journal: Journal) -> None:
        self._seams = seams
        self._journal = journal
        self._wanted: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="lambda-warm-up", daemon=True).start()

    def request(self, name: str) -> None:
        """Warm the function of the account and region being served."""
        self._wanted.put((*self._seams.current(), name))

    def _run(self) -> None:
        while True:
            account, region, name = self._wanted.get()
            with self._seams.scope(account, region):
                try:
                    self._initialize(name)
                except Exception as error:
                    # The function is broken; its first invocation says so as well, where the caller sees it.
                    self._journal.note("lambda.init_failed", function=name, error=str(error)[:300])

    def _initialize(self, name: str) -> None:
        function = self._seams.lambda_svc._functions.get(name)
        if function is None or not function.get("code_zip"):
            return
        runtime = self._seams.lambda_runtime
        worker, _ = runtime.acquire_worker(name, function["config"], function["code_zip"])
        if worker is None:
            return
        try:
            runtime.ensure_spawned(worker)
        except Exception:
            runtime.invalidate_worker(name)
            raise
        finally:
            runtime.release_worker(worker)
        self._journal.note("lambda.initialized", function=name)
