"""Actions that can be asked of something by method, path and JSON: checked, documented.

No HTTP here: a request comes as method, path and JSON, an answer goes as status and JSON.
The OpenAPI document is made from the same table, so it cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from smartmeter.version import VERSION

Json = dict[str, Any]


class ControlError(Exception):
    """A request that cannot be done: ``status`` as in HTTP, and one sentence."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class Controllable(Protocol):
    """What can be asked and told the time: :mod:`smartmeter.cli.control_http` serves it."""

    def handle(self, method: str, path: str, body: Any, now_us: int) -> Any:
        """Do what a request asks for; ControlError says why not."""

    def expire(self, now_us: int) -> None:
        """Do what is due."""


@dataclass(frozen=True)
class Key:
    """One member of a request: its type and limits; an ``optional`` one is None if left out."""

    kind: type
    default: Any = None
    low: int = 0
    high: int = 1 << 31
    choices: tuple[str, ...] = ()
    text: str = ""
    optional: bool = False

    @property
    def required(self) -> bool:
        """Tell whether a request must have it."""
        return self.default is None and not self.optional

    def schema(self) -> Json:
        """Give it as JSON Schema."""
        names = {int: "integer", bool: "boolean", str: "string"}
        found: Json = {"type": names[self.kind], "description": self.text}
        if self.kind is int:
            found |= {"minimum": self.low, "maximum": self.high}
        if self.choices:
            found["enum"] = list(self.choices)
        if self.default is not None:
            found["default"] = self.default
        return found

    def check(self, name: str, value: Any) -> Any:
        """Give the value, or raise ControlError."""
        wrong = not isinstance(value, self.kind) or (self.kind is int and isinstance(value, bool))
        if wrong:
            raise ControlError(422, f"{name} must be of type {self.schema()['type']}")
        if self.choices and value not in self.choices:
            raise ControlError(422, f"{name} must be one of {', '.join(self.choices)}")
        if self.kind is int and not self.low <= value <= self.high:
            raise ControlError(422, f"{name} must be {self.low} to {self.high}")
        return value


@dataclass(frozen=True)
class Action:
    """One thing that can be done; ``act`` gets the meter, path numbers and checked members."""

    method: str
    path: str
    summary: str
    act: Callable[[Any, Mapping[str, int], Json, int], Any]
    keys: Mapping[str, Key] = field(default_factory=dict)


def find(actions: Sequence[Action], method: str, path: str) -> tuple[Action, dict[str, int]]:
    """Give the action of a request, and the numbers in its path; ControlError if there is none."""
    allowed = []
    for action in actions:
        numbers = _match(action.path, path)
        if numbers is None:
            continue
        if action.method == method:
            return action, numbers
        allowed.append(action.method)
    if allowed:
        raise ControlError(405, f"{path} can be asked with {', '.join(allowed)}")
    raise ControlError(404, f"{path} is not here; see /openapi.json")


def _match(pattern: str, path: str) -> dict[str, int] | None:
    expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9]{1,5})", pattern)
    found = re.fullmatch(expression, path)
    return {name: int(text) for name, text in found.groupdict().items()} if found else None


def checked(action: Action, body: Any) -> Json:
    """Give the members of a request with their defaults; ControlError names what is wrong."""
    given = {} if body is None else body
    if not isinstance(given, dict):
        raise ControlError(422, "the body must be a JSON object")
    if unknown := sorted(given.keys() - action.keys.keys()):
        known = ", ".join(action.keys) or "no members"
        raise ControlError(422, f"{unknown[0]!r:.80} is not known here; {known}")
    checked: Json = {}
    for name, key in action.keys.items():
        if name in given:
            checked[name] = key.check(name, given[name])
        elif key.required:
            raise ControlError(422, f"{name} is missing")
        else:
            checked[name] = key.default
    return checked


def openapi(actions: Sequence[Action], title: str) -> Json:
    """Give the OpenAPI document of some actions, and of the list of meters."""
    paths: dict[str, Json] = {
        "/meters": {"get": _operation("The meters that are served", {}, [])},
    }
    for action in actions:
        names = re.findall(r"\{(\w+)\}", action.path)
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "integer"}}
            for name in names
        ]
        operation = _operation(action.summary, action.keys, parameters)
        paths.setdefault(action.path, {})[action.method.lower()] = operation
    info = {"title": title, "version": VERSION}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _operation(summary: str, keys: Mapping[str, Key], parameters: list[Json]) -> Json:
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    operation: Json = {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done"},
            "4XX": {
                "description": "not done, and why",
                "content": {"application/json": {"schema": error}},
            },
        },
    }
    if keys:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: key.schema() for name, key in keys.items()},
            "required": [name for name, key in keys.items() if key.required],
        }
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation
