"""The HTTP server of the fleet: instance metadata, ECS task metadata and container credentials."""

import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from localcloud.fleet import Fleet
from localcloud.imds import TOKEN_PATH, Answer, Tokens, identity_document, look_up, metadata_of, refusal
from localcloud.instance import Instance, MetadataMode
from localcloud.sessions import Sessions

HANG_STEP_S = 0.5
HANG_STEPS_MAX = 120


class Metadata:
    """One loopback server for all instances: `/<instance id>/latest/...`, `/v4/<task>/...`, `/credentials/<key>`."""

    def __init__(self, *, sessions: Sessions, role_of: Callable[[Instance], str | None]) -> None:
        self._sessions = sessions
        self._role_of = role_of
        self._fleet: Fleet | None = None
        self._tokens = Tokens()
        self._credentials: dict[str, Callable[[], dict[str, str]]] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self, fleet: Fleet) -> None:
        self._fleet = fleet
        threading.Thread(target=self._server.serve_forever, name="metadata", daemon=True).start()

    def stop(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def offer_credentials(self, *, account: str, region: str, role: str, session: str) -> str:
        """A URL, hard to guess, where one container gets its role's credentials."""
        key = secrets.token_urlsafe(24)

        def document() -> dict[str, str]:
            held = self._sessions.of_role(account=account, region=region, role=role, session=session)
            return {**held.document(), "RoleArn": role}

        self._credentials[key] = document
        return f"{self.url}/credentials/{key}"

    def describe_task(self, task_id: str, description: dict[str, Any]) -> str:
        """Publish a task's ECS metadata; returns ECS_CONTAINER_METADATA_URI_V4."""
        self._tasks[task_id] = description
        return f"{self.url}/v4/{task_id}"

    def instance_url(self, instance: Instance) -> str:
        """AWS_EC2_METADATA_SERVICE_ENDPOINT for containers of the instance."""
        return f"{self.url}/{instance.id}"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer | None:
        """The answer to one request; None means: close the connection without one."""
        first, _, rest = path.partition("?")[0].strip("/").partition("/")
        match first:
            case "credentials":
                document = self._credentials.get(rest)
                return _json(document()) if document else refusal(404)
            case "v4":
                return self._answer_task(*rest.partition("/")[::2])
            case _:
                return self._answer_instance(method, first, rest, headers)

    def _answer_task(self, task_id: str, what: str) -> Answer:
        described = self._tasks.get(task_id)
        if described is None or what not in ("", "task"):
            return refusal(404)
        return _json(described if what == "task" else described["Containers"][0])

    def _answer_instance(self, method: str, instance_id: str, path: str, headers: dict[str, str]) -> Answer | None:
        instance = self._fleet.instances.get(instance_id) if self._fleet else None
        if instance is None:
            return refusal(404)
        if not instance.is_live or instance.metadata is MetadataMode.REFUSED:
            return None
        if instance.metadata is MetadataMode.TIMEOUT:
            self._hang(instance)
            return None
        if method == "PUT":
            return self._tokens.issue(instance_id, headers) if path == TOKEN_PATH else refusal(403)
        if not self._tokens.admits(instance_id, headers):
            return refusal(401)
        return self._look_up(instance, path)

    def _hang(self, instance: Instance) -> None:
        for _ in range(HANG_STEPS_MAX):
            if instance.metadata is not MetadataMode.TIMEOUT or self._closing.wait(HANG_STEP_S):
                return

    def _look_up(self, instance: Instance, path: str) -> Answer:
        if path == "latest/dynamic/instance-identity/document":
            return Answer(status=200, body=identity_document(instance))
        if not path.startswith("latest/meta-data"):
            return refusal(404)
        role = self._role_of(instance)
        if role and path == f"latest/meta-data/iam/security-credentials/{role}":
            request = instance.request
            held = self._sessions.of_role(
                account=request.account, region=request.region, role=role, session=instance.id
            )
            return Answer(status=200, body=json.dumps({"Code": "Success", "Type": "AWS-HMAC", **held.document()}))
        return look_up(path + "/" if path == "latest/meta-data" else path, metadata_of(instance, role=role))


def _json(document: dict[str, Any]) -> Answer:
    return Answer(status=200, body=json.dumps(document), content_type="application/json")


def _handler_for(metadata: Metadata) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 65

        def log_message(self, format: str, *args: Any) -> None:
            """Containers poll every second: say nothing."""

        def do_GET(self) -> None:
            self._serve()

        def do_HEAD(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = metadata.answer(self.command, self.path, headers)
            if answer is None:
                self.close_connection = True
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
