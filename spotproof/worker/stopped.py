"""How a worker's stop travels through a user's function."""


class WorkerStopped(BaseException):
    """Raised by `shard.safe_point()` when this worker must let go of the shard; another one goes on from what is saved.

    Not an Exception, so that `except Exception` in a job does not swallow it. Let it pass; `finally` blocks run.

    Attributes:
        cause: why.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause
