"""The studio's server over a real socket: what a page is sent, and that nothing it sends ends the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ialgebra

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from tests.studio import serving


@pytest.fixture(scope="module")
def con() -> ialgebra.Session:
    return serving.session()


@pytest.fixture(scope="module")
def url(con) -> Iterator[str]:
    with serving.served(con) as running:
        yield running.url


def test_a_page_has_a_map_without_asking(con, url):
    with serving.page(url) as page:
        assert page.hello()["type"] == "welcome"
        done = page.until_status("done", "error")
    assert done["state"] == "done"
    (catalog,) = page.of("catalog")
    assert [each["name"] for each in catalog["models"]] == ["f"]
    assert [(each["name"], each["count"]) for each in catalog["inputs"]] == [("x", 1), ("xs", 5)]
    assert page.of("document")[0]["text"] == "select * from f(x)"
    shown = page.of("map")[-1]
    (right,) = con.sql("select * from f(x)")
    np.testing.assert_array_equal(shown["arrays"]["values"], right.values.astype(np.float32))
    (labels,) = [each for each in page.of("labels") if each["key"] == shown["maps"][0]["labels"]]
    np.testing.assert_array_equal(labels["arrays"]["labels"], right.players[0])
    assert page.of("picture")[0]["arrays"]["rgb"].shape == (8, 8, 3)
