"""What open pages are sent: messages small enough to delay nobody, and polls that use little CPU."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bridge.console.engine_line import EngineLine
from bridge.console.feed import JOBS_A_MESSAGE, Feed
from bridge.console.pace import PAUSES, Pace
from bridge.wire.home import find_home


def test_a_page_gets_thousands_of_jobs_in_pieces_of_which_none_is_large(tmp_path: Path) -> None:
    known = {f"job{number}": {"job": f"job{number}", "state": "done"} for number in range(2345)}

    async def messages() -> list[dict[str, Any]]:
        feed = Feed(EngineLine(find_home(tmp_path)), {})
        feed._jobs |= known
        taken: list[dict[str, Any]] = []
        async with aclosing(feed.events()) as events:
            async for event in events:
                taken.append(json.loads(event.removeprefix(b"data: ")))
                if sum(len(each["jobs"]) for each in taken) == len(known):
                    return taken
        raise AssertionError("the stream ended")

    taken = asyncio.run(asyncio.wait_for(messages(), 10))
    assert [each.get("all", False) for each in taken] == [True, *[False] * (len(taken) - 1)]
    assert max(len(each["jobs"]) for each in taken) == JOBS_A_MESSAGE
    assert [job for each in taken for job in each["jobs"]] == list(known.values())


@pytest.mark.parametrize(("took_s", "again_s"), [(0.01, 10.0), (0.4, 10.0), (3.0, 3.0 * (1 + PAUSES))])
def test_what_takes_long_is_looked_at_seldom(took_s: float, again_s: float) -> None:
    pace = Pace(10.0)
    assert pace.is_due(0.0), "at once, first"
    pace.looked(0.0, took_s)
    assert not pace.is_due(again_s - 0.01)
    assert pace.is_due(again_s)
    pace.looked(again_s, again_s + took_s)
    assert not pace.is_due(again_s + 5.0)
    pace.hurry()
    assert pace.is_due(again_s + 5.0)
