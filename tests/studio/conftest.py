"""A browser and its complaints, for the modules that drive one; a module says by `served` what its page is of.

May not know: what is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from ialgebra.apps.studio.studio import Studio


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; the test is skipped where there is none."""
    from . import browsers

    with browsers.launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def faults() -> list[str]:
    """What the page complained of, and what it asked of other hosts."""
    return []


@pytest.fixture(scope="module")
def opened(browser: Browser, served: Studio, faults: list[str]) -> Iterator[Page]:
    """One page for all tests of a module, that has its first answer."""
    from . import browsers

    with browsers.opened(browser, served.url, faults) as made:
        yield made
