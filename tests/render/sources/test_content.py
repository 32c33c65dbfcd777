from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from presets.errors import InputError
from render.sources.content import OVERLAP_BYTES, PIECE_BYTES, Content


@pytest.mark.parametrize("at", [0, 5, PIECE_BYTES - 3, PIECE_BYTES, 2 * PIECE_BYTES - OVERLAP_BYTES, 700_000])
def test_a_pattern_is_found_wherever_it_stands(tmp_path: Path, at: int) -> None:
    held = bytearray(700_007)
    held[at : at + 7] = b"pattern"
    (tmp_path / "a").write_bytes(held)
    with (tmp_path / "a").open("rb") as file:
        content, pattern = Content(file), re.compile(b"pat[t]ern")
        assert len(content) == 700_007
        assert content.search(pattern, 0) == at
        assert content.search(pattern, at) == at
        assert content.search(pattern, at + 1) == -1
        assert content.search(pattern, 0, at + 6) == -1
        assert content.read(at, 7) == b"pattern"


def test_bytes_are_those_of_the_file_in_any_order(tmp_path: Path) -> None:
    held = os.urandom(3 * PIECE_BYTES + 11)
    (tmp_path / "a").write_bytes(held)
    with (tmp_path / "a").open("rb") as file:
        content = Content(file)
        for at, size in (
            (7, 9),
            (PIECE_BYTES - 1, 2),
            (3, 4),
            (0, len(held)),
            (len(held) - 2, 99),
            (len(held), 4),
        ):
            assert content.read(at, size) == held[at : at + size]


def test_a_file_that_shrinks_is_one_error_and_ends_no_process(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2 * PIECE_BYTES))
    with (tmp_path / "a").open("rb") as file:
        content = Content(file)
        os.truncate(tmp_path / "a", 4096)
        with pytest.raises(InputError, match="became shorter while it was read"):
            content.search(re.compile(b"x"), 0)
