"""Selects part of a batch: names by pattern, or the shard of one machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeVar

from presets.errors import UsageError

Member = TypeVar("Member")


class Shard(NamedTuple):
    """One machine's part of a batch: part `number`, from 1 to `of`."""

    number: int
    of: int

    def part(self, members: Sequence[Member], clip: Callable[[Member], object] = id) -> list[Member]:
        """The members of every `of`-th clip; the parts of a list do not overlap, and together are all of it.

        Args:
            members: of the whole batch.
            clip: gives the key that members which must stay together share, such as takes of one clip.
        """
        places: dict[object, int] = {}
        of_member = [places.setdefault(clip(member), len(places)) for member in members]
        pairs = zip(members, of_member, strict=True)
        return [member for member, place in pairs if place % self.of == self.number - 1]


def shard(text: str) -> Shard:
    """Parses `2/8` as a Shard.

    Raises:
        UsageError: anything but i/n with 1 <= i <= n.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard = {text!r}; give i/n with i from 1 to n, such as 2/8", "shard")
    return Shard(int(match[1]), int(match[2]))


def by_name(include: Sequence[str], exclude: Sequence[str]) -> Callable[[Path], bool]:
    """Returns a filter for sources: some `include` pattern must match (if there are any), and no `exclude`
    pattern.

    A pattern with a slash is matched against the whole path, any other against the file's name.
    """

    def matches(source: Path, pattern: str) -> bool:
        return fnmatch(source.as_posix() if "/" in pattern else source.name, pattern)

    def wanted(source: Path) -> bool:
        if any(matches(source, pattern) for pattern in exclude):
            return False
        return not include or any(matches(source, pattern) for pattern in include)

    return wanted
