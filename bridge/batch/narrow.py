"""Selects part of a batch: names by pattern, or the shard of one machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeVar

from bridge.batch.sources import readings
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

    A pattern with a slash is matched against the whole path, any other against the file's name. As in the
    name of an input, brackets may be part of a name.

    Raises:
        UsageError: an empty pattern (a script with an unset variable gives one).
    """
    included, excluded = _patterns(include, "include"), _patterns(exclude, "exclude")

    def wanted(source: Path) -> bool:
        return not _matches(source, excluded) and (not included or _matches(source, included))

    return wanted


def _patterns(given: Sequence[str], field: str) -> list[str]:
    if "" in given:
        raise UsageError(f"--{field} was given an empty pattern; is a variable unset?", field)
    return [reading for pattern in given for reading in readings(pattern)]


def _matches(source: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(source.as_posix() if "/" in each else source.name, each) for each in patterns)
