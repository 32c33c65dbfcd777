from __future__ import annotations

import pytest

from presets import errors
from presets.errors import AirbandError, BusyError, error_class


def every_class(root: type[AirbandError] = AirbandError) -> list[type[AirbandError]]:
    return [root, *(cls for child in root.__subclasses__() for cls in every_class(child))]


@pytest.mark.parametrize("cls", every_class())
def test_a_code_on_the_wire_names_one_class(cls: type[AirbandError]) -> None:
    assert error_class(cls.code) is cls


@pytest.mark.parametrize("cls", every_class())
def test_the_tree_at_the_top_of_the_file_names_every_class(cls: type[AirbandError]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")


def test_a_newer_engines_code_is_still_an_airband_error() -> None:
    assert error_class("from-the-future") is AirbandError


def test_exit_codes_tell_the_families_apart() -> None:
    families = AirbandError.__subclasses__()
    codes = [cls.exit_code for cls in families]
    assert len(set(codes)) == len(codes)
    assert all(cls.exit_code in codes for cls in every_class()[1:])


def test_busy_says_when_to_come_back() -> None:
    error = BusyError("the queue is full", retry_s=2.5)
    assert (error.message, error.retry_s, str(error)) == ("the queue is full", 2.5, "the queue is full")
