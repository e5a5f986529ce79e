"""The REST face of the Fault Injection Service: one handler that the emulator routes to."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from localcloud.fis.experiments import Experiments
from localcloud.fis.parameters import FisError, checked, find_operation
from localcloud.fis.templates import FisStore, create_template, update_template
from localcloud.reactor import Reactor
from localcloud.seams import Response, Seams

Operation = Callable[[FisStore, dict[str, Any]], dict[str, Any]]

_JSON = {"Content-Type": "application/json"}


class FisApi:
    """Finds the operation in botocore's model, checks its parameters and runs it while the state is held."""

    def __init__(self, *, seams: Seams, reactor: Reactor, experiments: Experiments) -> None:
        self._seams = seams
        self._reactor = reactor
        self._experiments = experiments
        self._stores: dict[tuple[str, str], FisStore] = {}
        self._operations: dict[str, Operation] = {
            "CreateExperimentTemplate": lambda store, given: _template(create_template(store, given)),
            "GetExperimentTemplate": lambda store, given: _template(store.template(given["id"])),
            "UpdateExperimentTemplate": lambda store, given: _template(update_template(store, given)),
            "DeleteExperimentTemplate": _delete_template,
            "ListExperimentTemplates": lambda store, _given: {"experimentTemplates": list(store.templates.values())},
            "StartExperiment": self._start,
            "GetExperiment": lambda store, given: {"experiment": store.experiment(given["id"]).describe()},
            "StopExperiment": self._stop,
            "ListExperiments": _list_experiments,
            "ListTagsForResource": lambda store, given: {"tags": dict(store.tags_of(given["resourceArn"]))},
            "TagResource": _tag,
            "UntagResource": _untag,
        }

    def call(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """Run an operation for the account and region of the current request.

        Raises:
            FisError: what FIS answers with an error.
        """
        run = self._operations.get(operation)
        if run is None:
            raise FisError(f"the local account doesn't implement FIS's {operation}")
        parameters = checked(operation, given)
        looking = operation.startswith(("Get", "List"))
        with self._reactor.reading() if looking else self._reactor.changing():
            return run(self._store(*self._seams.current()), parameters)

    def stop_everything(self) -> None:
        """End all experiments. Expects the reactor's state to be held."""
        for store in self._stores.values():
            self._experiments.stop_all(store)

    async def handle(
        self, method: str, path: str, _headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        """Answer one HTTP request."""
        try:
            found = find_operation(method, path.rstrip("/"))
            if found is None:
                raise FisError(f"FIS has no operation {method} {path}")
            operation, in_path = found
            given = {**_query(query), **_object(body), **{name: unquote(value) for name, value in in_path.items()}}
            answer = self.call(operation, given)
        except FisError as error:
            headers = {**_JSON, "x-amzn-ErrorType": error.code}
            return error.status, headers, json.dumps({"message": str(error)}).encode()
        return 200, dict(_JSON), json.dumps(answer).encode()

    def _store(self, account: str, region: str) -> FisStore:
        return self._stores.setdefault((account, region), FisStore(account=account, region=region))

    def _start(self, store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
        return {"experiment": self._experiments.start(store, given).describe()}

    def _stop(self, store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
        experiment = store.experiment(given["id"])
        self._experiments.stop(experiment)
        return {"experiment": experiment.describe()}


def _template(template: dict[str, Any]) -> dict[str, Any]:
    return {"experimentTemplate": template}


def _delete_template(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    template = store.template(given["id"])
    del store.templates[given["id"]]
    return _template(template)


def _list_experiments(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    wanted = given.get("experimentTemplateId")
    found = [each.describe() for each in store.experiments.values() if wanted in (None, each.template["id"])]
    return {"experiments": found}


def _tag(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    store.tags_of(given["resourceArn"]).update(given["tags"])
    return {}


def _untag(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    tags = store.tags_of(given["resourceArn"])
    for key in given.get("tagKeys") or ():
        tags.pop(key, None)
    return {}


def _query(query: dict[str, Any]) -> dict[str, Any]:
    """Query parameters as single values, but for the list of tag keys."""
    return {
        name: value if name == "tagKeys" or not isinstance(value, list) else value[0] for name, value in query.items()
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise FisError(f"the request body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise FisError("the request body must be a JSON object")
    return parsed
