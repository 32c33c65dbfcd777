from __future__ import annotations

import pytest

from render.band.holes import Holes
from render.measure.codecs import looks_like


@pytest.mark.parametrize(
    ("shelf_hz", "first"),
    [(20016, "Opus full-band"), (15870, "AAC 96 kbit/s"), (10863, "MP3 64 kbit/s"), (18971, "Vorbis q4")],
)
def test_an_encoders_own_low_pass_names_it(shelf_hz: float, first: str) -> None:
    assert looks_like(shelf_hz, None, 44100)[0] == first


def test_holes_speak_for_a_codec_that_leaves_them() -> None:
    clean = Holes(16570, 16570, 16570, None, 0.0)
    holed = Holes(16570, 16200, 16570, 14000, 0.2)
    assert looks_like(16570, clean, 44100)[0] == "Vorbis q2"
    assert looks_like(16570, holed, 44100)[0].startswith(("MP3", "AAC"))


def test_no_shelf_and_a_shelf_of_no_encoder_name_none() -> None:
    assert looks_like(None, None, 44100) == ()
    assert looks_like(9500, None, 44100) == ()


def test_the_end_of_a_files_own_rate_is_no_encoders() -> None:
    assert looks_like(7645, None, 48000) == ("AAC 48 kbit/s",)
    assert looks_like(7645, None, 16000) == ()
