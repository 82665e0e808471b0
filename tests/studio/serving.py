"""A studio that runs, and a page that speaks with it, for tests: no browser, but a real socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import torch
from torch import nn
from websockets.sync.client import ClientConnection, connect

import ialgebra
from ialgebra.apps import studio
from ialgebra.apps.studio.messages import unframed
from ialgebra.apps.studio.studio import Studio

PATIENCE = 60.0  # seconds until a test fails that waits for what never comes


def session() -> ialgebra.Session:
    """A session with a small net `f` over pictures, a picture `x`, a collection `xs`, and a table."""
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3))
    con.register_model("f", net.eval(), classes=["cat", "dog", "lynx"], example=torch.zeros(3, 8, 8))
    con.register_input("x", torch.rand(3, 8, 8))
    con.register_input("xs", torch.rand(5, 3, 8, 8), labels=["cat", "dog", "cat", "lynx", "dog"])
    return con


class Page:
    """One page: its socket, and what it has been sent."""

    def __init__(self, socket: ClientConnection, url: str, cookie: str) -> None:
        self.socket, self.url, self.cookie = socket, url, cookie
        self.received: list[dict] = []
        self._id = 0

    def say(self, type: str, **said: object) -> int:
        self._id += 1
        self.socket.send(json.dumps({"type": type, "id": self._id, **said}))
        return self._id

    def hello(self, client: str = "page-one", since: int = 0, url: str = "") -> dict:
        return self.until_answered(self.say("hello", client=client, since=since, url=url))

    def next(self) -> dict:
        raw = self.socket.recv(PATIENCE)
        if isinstance(raw, str):
            message = json.loads(raw)
        else:
            message, arrays = unframed(raw)
            message["arrays"] = arrays
        self.received.append(message)
        return message

    def until(self, wanted: Callable[[dict], bool]) -> dict:
        while not wanted(message := self.next()):
            pass
        return message

    def until_answered(self, number: int) -> dict:
        return self.until(lambda message: message.get("re") == number)

    def until_status(self, *states: str, question: int | None = None) -> dict:
        return self.until(
            lambda message: (
                message["type"] == "status"
                and message["state"] in states
                and (question is None or message["question"] == question)
            )
        )

    def ask(self, type: str, **said: object) -> dict:
        return self.until_answered(self.say(type, **said))

    def of(self, type: str) -> list[dict]:
        return [message for message in self.received if message["type"] == type]


def cookie(url: str) -> str:
    """The cookie that a browser gets for the first address."""
    answer = get(url, urlsplit(url).path + "?" + urlsplit(url).query)
    assert answer.status == 303
    return answer.getheader("set-cookie").partition(";")[0]


def get(url: str, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """The answer to just these words, whatever they are."""
    place = urlsplit(url)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if "Host" not in headers:
        lines.append(f"Host: {place.netloc}")
    with socket.create_connection((place.hostname, place.port), PATIENCE) as raw:
        raw.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = http.client.HTTPResponse(raw, method=method)
        answer.begin()
        answer.body = answer.read()
    return answer


@contextmanager
def page(url: str, given: str | None = None) -> Iterator[Page]:
    place, given = urlsplit(url), given or cookie(url)
    with connect(
        f"ws://{place.netloc}/ws",
        origin=f"http://{place.netloc}",
        additional_headers={"Cookie": given},
        max_size=None,
    ) as opened:
        yield Page(opened, url, given)


@contextmanager
def served(con: ialgebra.Session, **options: object) -> Iterator[Studio]:
    with studio.started(con, **options) as running:
        yield running
