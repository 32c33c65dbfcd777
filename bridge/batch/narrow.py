"""Which part of a batch is meant: names by pattern, a shard of a farm, what failed the last time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeVar

from presets.errors import UsageError

Member = TypeVar("Member")


class Shard(NamedTuple):
    """One machine's part of a batch: part `number`, from 1 on, of `of`."""

    number: int
    of: int

    def part(self, members: Sequence[Member], clip: Callable[[Member], object] = id) -> list[Member]:
        """Every `of`-th clip's members: the parts of one list share nothing, and leave nothing out.

        Args:
            members: of the whole.
            clip: what members that stay together have in common, such as takes of one clip.
        """
        places: dict[object, int] = {}
        of_member = [places.setdefault(clip(member), len(places)) for member in members]
        pairs = zip(members, of_member, strict=True)
        return [member for member, place in pairs if place % self.of == self.number - 1]


def shard(text: str) -> Shard:
    """`2/8` as a Shard.

    Raises:
        UsageError: anything but i/n with 1 <= i <= n.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard = {text!r}; give i/n with i from 1 to n, such as 2/8", "shard")
    return Shard(int(match[1]), int(match[2]))


def by_name(include: Sequence[str], exclude: Sequence[str]) -> Callable[[Path], bool]:
    """Tells whether a source is meant: one of `include` matches it, or there are none, and none of `exclude`.

    A pattern with a slash is held against the whole path, any other against the file's name.
    """

    def matches(source: Path, pattern: str) -> bool:
        return fnmatch(source.as_posix() if "/" in pattern else source.name, pattern)

    def wanted(source: Path) -> bool:
        if any(matches(source, pattern) for pattern in exclude):
            return False
        return not include or any(matches(source, pattern) for pattern in include)

    return wanted
