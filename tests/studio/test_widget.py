"""The studio below a cell: the messages of the page, over a widget; and in a kernel of Jupyter, from end to end."""

from __future__ import annotations

import base64
import json
import pickle
import queue
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ialgebra
from ialgebra import Session
from ialgebra.apps.studio.sharing import SharedFile
from ialgebra.results.relation import Relation
from tests.studio import serving

pytest.importorskip("anywidget")

LIMIT = 60.0  # seconds, after which a test fails


class Sent:
    """What a widget sends, in order, with its buffers."""

    def __init__(self, widget: object) -> None:
        self._messages: queue.Queue[tuple[dict[str, object], list[bytes]]] = queue.Queue()
        widget.send = lambda content, buffers=None: self._messages.put((content, list(buffers or [])))

    def until(self, wanted: Callable[[dict[str, object]], bool]) -> tuple[dict[str, object], list[bytes]]:
        """The next message that is wanted."""
        while True:
            content, buffers = self._messages.get(timeout=LIMIT)
            if wanted(content):
                return content, buffers


@pytest.fixture
def con() -> Iterator[Session]:
    with serving.session() as con:
        yield con


def opened(widget: object) -> Sent:
    sent = Sent(widget)
    widget._handle_custom_msg({"type": "hello", "id": 1, "client": "12345678-view", "url": "", "since": 0}, [])
    return sent


def test_a_page_that_says_hello_gets_the_catalog_and_the_map_of_the_answer(con: Session) -> None:
    answer = con.sql("select * from f(x) budget 40")
    widget = answer.explore()
    sent = opened(widget)
    catalog, _ = sent.until(lambda said: said["type"] == "catalog")
    assert [each["name"] for each in catalog["models"]] == list(con.names()["models"])
    found, buffers = sent.until(lambda said: said["type"] == "map" and said["stage"] == "whole")
    assert found["text"] == answer.query
    arrays = {each["name"]: raw for each, raw in zip(found["arrays"], buffers, strict=True)}
    assert np.frombuffer(arrays["values"], "<f4") == pytest.approx(answer[0].values, rel=1e-6)
    widget.close()


def test_what_is_asked_is_answered_and_a_failure_is_a_problem(con: Session) -> None:
    sent = opened(widget := con.studio(widget=True))
    widget._handle_custom_msg({"type": "ask", "id": 7, "text": "select * from f(x) budget 12"}, [])
    sent.until(lambda said: said["type"] == "map" and said["text"] == "select * from f(x) budget 12")
    widget._handle_custom_msg({"type": "no such message", "id": 8}, [])
    assert sent.until(lambda said: said.get("re") == 8)[0]["type"] == "problem"
    widget._handle_custom_msg(["no message"], [])
    sent.until(lambda said: said["type"] == "problem")
    widget.close()


def test_a_second_output_of_one_widget_gets_everything_too(con: Session) -> None:
    widget = con.sql("select * from f(x) budget 40").explore()
    opened(widget).until(lambda said: said["type"] == "map")
    again = opened(widget)
    for kind in ("catalog", "document", "labels", "picture", "map"):
        again.until(lambda said, kind=kind: said["type"] == kind)
    widget.close()


def test_files_come_in_the_message(con: Session) -> None:
    widget = con.sql("select * from f(x) budget 40").explore()
    href = widget._place.offer(SharedFile("script.sql", "text/plain", b"select 1"))
    said = widget._delivered({"type": "exported", "name": "script.sql", "href": href})
    kind, _, content = said["href"].partition(";base64,")
    assert (kind, base64.b64decode(content)) == ("data:text/plain", b"select 1")
    assert not widget._place.exports
    href = widget._place.offer(SharedFile("page.html", "text/html", bytes(9 << 20)))
    assert "too large" in widget._delivered({"type": "exported", "name": "page.html", "href": href})["message"]
    widget.close()


def test_where_no_widget_can_be_had_the_answer_shows_as_a_picture(
    con: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = con.sql("select * from f(x) budget 40")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.warns(ialgebra.IalgebraWarning, match=r"ialgebra\[notebook\]"):
        assert answer.explore() is answer
    monkeypatch.undo()
    loaded = ialgebra.load(answer.save(tmp_path / "answer.ialgebra"))
    for each in (loaded, pickle.loads(pickle.dumps(answer))):
        with pytest.warns(ialgebra.IalgebraWarning, match="session"):
            assert each.explore() is each


def test_a_notebook_that_is_read_as_a_file_shows_the_picture(con: Session) -> None:
    answer: Relation = con.sql("select * from f(x) budget 40")
    made = answer.explore()._repr_mimebundle_()
    bundle = made[0] if isinstance(made, tuple) else made
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == answer._repr_html_()


NOTEBOOK = """
    from tests.studio import serving
    con = serving.session()
    answer = con.sql("select * from f(x) budget 40")
    widget = answer.explore()
    widget
    ---
    import time
    widget._handle_custom_msg({"type": "hello", "id": 1, "client": "12345678-view", "url": "", "since": 0}, [])
    deadline = time.monotonic() + 60
    while widget._client._scheduler.state != "done" and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    widget.close()
    print("closed")
"""


def test_in_a_kernel_the_page_s_messages_arrive(tmp_path: Path) -> None:
    """The messages of a background thread reach the notebook over the widget's own connection."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell(cell) for cell in textwrap.dedent(NOTEBOOK).strip().split("---\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    seen: list[dict[str, object]] = []

    class Client(nbclient.NotebookClient):  # type: ignore[name-defined]
        def process_message(self, msg: dict, cell: object, cell_index: int) -> object:
            if msg["msg_type"] == "comm_msg":
                seen.append(msg["content"]["data"])
            return super().process_message(msg, cell, cell_index)

    Client(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(Path.cwd())}}).execute()
    outputs = notebook.cells[0].outputs
    assert "application/vnd.jupyter.widget-view+json" in outputs[0].data
    assert "text/html" in outputs[0].data
    assert notebook.cells[1].outputs[0].text == "closed\n"
    custom = [each["content"]["type"] for each in seen if each.get("method") == "custom"]
    assert {"catalog", "document", "map"} <= set(custom), json.dumps(custom)
