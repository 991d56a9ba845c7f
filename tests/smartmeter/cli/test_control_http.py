"""The control interface over HTTP: where it listens."""

import asyncio
import json
import urllib.request

import pytest

from smartmeter.cli.control_http import controlled
from smartmeter.simulation.control import Control


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_listens_at_either_kind_of_address_and_tells_a_url_that_leads_there(
    host: str,
) -> None:
    async with controlled(Control([]), f"{host}:0") as url:
        assert url.startswith(f"http://{host}:")

        def ask() -> object:
            with urllib.request.urlopen(f"{url}/meters", timeout=60) as answer:
                return json.load(answer)

        assert await asyncio.to_thread(ask) == []
