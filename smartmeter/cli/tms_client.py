"""How a verb asks a TMS that runs: its REST API, after a log-in as the page's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from http.client import HTTPException
from http.cookiejar import CookieJar
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPCookieProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

import click

from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.cli.ask_password import ask_password
from smartmeter.cli.given import not_empty

PASSWORD_VARIABLE = "SMARTMETER_TMS_PASSWORD"
TIMEOUT_S = 60.0
LOGGED_IN = 303
MAX_ANSWER_OCTETS = 16 << 20
#: Meters that are named in one line.
MAX_NAMED = 20
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def client_options(verb: _Verb) -> _Verb:
    """Give a verb the options of a log-in; ``TmsClient`` takes them."""
    for option in (
        click.option(
            "--user", default="operator", callback=not_empty, show_default=True, help="Who logs in."
        ),
        click.option(
            "--url",
            default="http://127.0.0.1:8080",
            show_default=True,
            help="The TMS' page; the password comes from SMARTMETER_TMS_PASSWORD or a prompt.",
        ),
    ):
        verb = option(verb)
    return verb


class Refused(SmartMeterError):
    """The TMS answered that it does not do what was asked."""


def for_each(esns: Sequence[str], act: Callable[[str], str]) -> None:
    """Do something with each of several meters and print what it came to, whatever is refused.

    ClickException at the end names those that were; a TMS that is not there ends it at once.
    """
    refused = []
    for esn in esns:
        try:
            click.echo(act(esn))
        except Refused as error:
            if len(esns) == 1:
                raise
            click.echo(f"{esn}: not done: {error.fault}", err=True)
            refused.append(esn)
    if refused:
        raise click.ClickException(f"not done with {first_of(refused)}")


def first_of(esns: Sequence[str]) -> str:
    """Name meters in one line; of many, the first, and how many more there are."""
    more = f" and {len(esns) - MAX_NAMED} more" if len(esns) > MAX_NAMED else ""
    return f"{', '.join(esns[:MAX_NAMED])}{more}"


class _GoesOn(HTTPRedirectHandler):
    """Follows nowhere: the page to which a log-in leads would be drawn for nobody."""

    def redirect_request(self, *about: Any) -> None:
        """Give no request."""


class TmsClient:
    """A session with a TMS; SmartMeterError tells what it refused and why."""

    def __init__(self, url: str, user: str) -> None:
        if not _is_address(url):
            raise SettingsError("--url", f"{url!r:.80} is no address", "write http://HOST:PORT")
        self._url = url.rstrip("/")
        handlers = [HTTPCookieProcessor(CookieJar()), _GoesOn()]
        if _is_here(urlsplit(url).hostname or ""):
            handlers.append(ProxyHandler({}))  # a proxy would look for it on its own machine
        self._opener: OpenerDirector = build_opener(*handlers)
        password = os.environ.get(PASSWORD_VARIABLE) or ask_password(f"Password of {user}")
        form = urlencode({"user": user, "password": password}).encode()
        self._ask("/login", form, "application/x-www-form-urlencoded")

    def get(self, path: str, **query: str | int) -> Any:
        """Ask for something."""
        return self._value(self._ask(f"{path}?{urlencode(query)}"))

    def post(self, path: str, value: Any) -> Any:
        """Ask that something be done."""
        return self._value(self._ask(path, json.dumps(value).encode(), "application/json"))

    def post_text(self, path: str, text: str) -> Any:
        """Give it the text of a file."""
        return self._value(self._ask(path, text.encode(), "text/csv"))

    def delete(self, path: str) -> Any:
        """Ask that something be forgotten."""
        return self._value(self._ask(path, method="DELETE"))

    def _value(self, octets: bytes) -> Any:
        """Read an answer; one that was cut short is none."""
        try:
            return json.loads(octets)
        except ValueError:
            raise SmartMeterError(
                self._url, "the answer is cut short, or no JSON", "is the TMS running there?"
            ) from None

    def _ask(
        self, path: str, body: bytes | None = None, kind: str = "", method: str | None = None
    ) -> bytes:
        headers = {"Content-Type": kind} if body else {}
        request = Request(f"{self._url}{path}", body, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                octets: bytes = answer.read(MAX_ANSWER_OCTETS)
                return octets
        except HTTPError as error:
            if error.code == LOGGED_IN:
                return b""
            raise Refused(self._url, _told(error), _REMEDIES.get(error.code, "")) from None
        except (URLError, OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            told = getattr(reason, "strerror", None) or str(reason)
            remedy = "is the TMS running there? --url names another place"
            raise SmartMeterError(self._url, told, remedy) from None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False


def _is_here(host: str) -> bool:
    """Tell whether a name is always that of the machine itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


_REMEDIES = {401: "mend user or password", 429: "wait a minute"}
#: What a log-in that is refused comes to.  The TMS answers it with a page; so does a proxy that
#: does not reach its TMS.
_NOT_IN = {
    401: "user or password is wrong",
    503: "cannot look up who may log in; see its log, or behind a proxy whether it runs",
}


def _told(error: HTTPError) -> str:
    """Give what the TMS says of a refusal."""
    text = error.read(4096).decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return _NOT_IN.get(error.code, f"answers {error.code}")
