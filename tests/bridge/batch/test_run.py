"""Whether a stem is done already is decided once, by the process that writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge import Client
from bridge.batch.forecast import forecast
from bridge.batch.plan import Item
from bridge.batch.run import Order, Task, run
from bridge.batch.throughput import Speeds
from bridge.client.model_choice import choose
from presets.errors import OutputError
from presets.schema import make

IO = Path("/proc/self/io")


@pytest.fixture
def item(tmp_path: Path) -> Item:
    """Two minutes of noise, 23 MB."""
    noise = 0.1 * np.random.default_rng(1).standard_normal((48000 * 120, 2), dtype="f4")
    soundfile.write(tmp_path / "in.wav", noise, 48000)
    return Item(tmp_path / "in.wav", tmp_path / "out.wav")


@pytest.mark.parametrize("near", [True, False])
def test_a_finished_stem_is_skipped_and_another_refused(engine: Any, item: Item, near: bool) -> None:
    with Client.connect(state=engine.home.state) as client:
        client.local = near
        order = Order(make(model="null", end=1.0), "custom", choose("null", client.models))
        other = Order(make(model="null", end=1.0, seed=2), "custom", order.choice)

        def ends(order: Order) -> tuple[str, object]:
            *_, last = run(client, [item], order)
            return last.what, type(last.error)

        def foreseen(order: Order) -> tuple[str, object]:
            [lot] = forecast([Task(item, order)], [], Speeds(engine.home))
            return lot.what, type(lot.error)

        nothing = type(None)
        assert foreseen(order) == ("render", nothing)
        assert ends(order) == ("done", nothing)
        assert foreseen(order) == ends(order) == ("skipped", nothing)
        assert foreseen(other) == ("refused", OutputError)
        assert ends(other) == ("failed", OutputError)


def test_a_result_in_the_way_says_what_parts_it_from_what_was_asked_for(engine: Any, tmp_path: Path) -> None:
    item = Item(tmp_path / "in.wav", tmp_path / "out.wav")
    soundfile.write(item.source, np.zeros(4800), 48000)
    with Client.connect(state=engine.home.state) as client:
        choice = choose("null", client.models)

        def refused(**knobs: Any) -> list[str]:
            order = Order(make(model="null", **knobs), "custom", choice)
            *_, ended = run(client, [item], order)
            [lot] = forecast([Task(item, order)], [], Speeds(engine.home))
            return [error.message for error in (ended.error, lot.error) if error is not None]

        assert refused() == []
        told = f"{item.out}: exists, and was made with seed = 0, not 2, rate = 48000, not 44100; --force"
        assert [message.removesuffix(" replaces it") for message in refused(seed=2, rate=44100)] == [told] * 2
        soundfile.write(item.source, np.zeros(9600), 48000)
        assert all("another source, or in.wav has changed since" in message for message in refused())
        item.out.write_bytes(item.out.read_bytes() + b"\0")
        messages = refused()
        assert len(messages) == 2
        assert all("was changed after it had been rendered" in message for message in messages)


@pytest.mark.skipif(not IO.exists(), reason="counts bytes by /proc/self/io")
def test_a_client_beside_its_engine_reads_neither_source_nor_stem(engine: Any, item: Item) -> None:
    def read() -> int:
        return int(IO.read_text().split("rchar:")[1].split()[0])

    with Client.connect(state=engine.home.state) as client:
        order = Order(make(model="null"), "custom", choose("null", client.models))
        assert [event.what for event in run(client, [item], order)][-1] == "done"
        before = read()
        assert [event.what for event in run(client, [item], order)] == ["skipped"]
        assert read() - before < item.source.stat().st_size / 10
