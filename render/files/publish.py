"""A finished file becomes visible, whole and with its sidecar, or not at all.

A stem is written under a hidden name in its own folder, so that the last step is a rename. The sidecar is put
in place first: a stem that is visible always has its own beside it, and a sidecar without its stem only means
that the work is still to be done.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presets.errors import OutputError
from render.files.encode import Encoded, encode, encoding
from render.files.parts import as_output_error, part_beside, settle
from render.files.sidecar import StemRecord, parsed, sidecar, sidecar_path, unlike, written

if TYPE_CHECKING:
    from presets.schema import Preset
    from render.clip import Clip
    from render.files.carried.metadata import Metadata

FORCE = "force=True replaces it"
"""The way out that a refusal ends with; callers whose users write no Python put another in its place."""


def check_destination(
    out: Path, source: Path | None = None, *, force: bool = False, record: StemRecord | None = None
) -> None:
    """Refuses the destination of a stem before any work is done for it: that of the stem, or of its sidecar.

    Args:
        out: where the stem is to appear.
        source: what it is made from; never overwritten, not even by `force`.
        force: whether an existing file may be replaced.
        record: what the stem is, where that is known; the refusal then says how the stem there differs.

    Raises:
        OutputError: as `check_file`; or in the sidecar's place is no regular file, or one that is not by
            Airband while `force` is off.
    """
    check_file(out, source, force=force, record=record)
    side = sidecar_path(out)
    if os.path.lexists(side):
        if not side.is_file():
            raise OutputError(
                f"{side}: exists and is not a file; choose another name for the stem", str(side)
            )
        if not force and "airband" not in (parsed(side) or {}):
            raise OutputError(f"{side}: exists and is not a sidecar by Airband; {FORCE}", str(side))


def check_file(
    out: Path, source: Path | None = None, *, force: bool = False, record: StemRecord | None = None
) -> None:
    """Refuses the destination of a file without a sidecar; arguments as for `check_destination`.

    Raises:
        OutputError: it is the source, is no regular file, exists while `force` is off, or cannot be made: a
            name that is too long, no permission to look or to write.
    """
    if "\0" in str(out):
        raise OutputError(f"{str(out)!r}: a path holds no NUL", str(out))
    with as_output_error(out):
        if out.exists():
            if source is not None and source.exists() and out.samefile(source):
                raise OutputError(f"{out}: is the source itself; choose another name or folder", str(out))
            if not out.is_file():
                raise OutputError(f"{out}: exists and is not a file", str(out))
            if not force:
                reason = f"exists and is not the result of this very render; {FORCE}"
                refusal = OutputError(f"{out}: {reason}", str(out))
                raise refusal if record is None else explained(refusal, out, *record.origin)
        _ask_folder(out)


def explained(
    error: OutputError,
    out: Path,
    source_digest: Callable[[], str],
    preset: Preset,
    model: str,
    model_digest: str,
) -> OutputError:
    """A refusal of a destination; if another render stands there, it says how that one differs.

    Args:
        error: the refusal.
        out, source_digest, preset, model, model_digest: as for `render.files.sidecar.find_result`.

    Raises:
        InputError: the source cannot be read.
    """
    if not error.message.endswith(FORCE):
        return error
    found = unlike(out, source_digest, preset, model, model_digest)
    return error if found is None else OutputError(f"{out}: exists, and {found}; {FORCE}", error.field)


def _ask_folder(out: Path) -> None:
    """Raises OSError where the nearest existing folder takes no file of that name, or none of this user."""
    folder = out.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with suppress(FileNotFoundError):
        (folder / out.name).lstat()
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def deliver(
    clip: Clip,
    out: Path,
    record: StemRecord,
    *,
    source: Path | None = None,
    carried: Metadata | None = None,
    force: bool = False,
    mask: int = 0,
    umask: int | None = None,
) -> dict[str, Any]:
    """A rendered clip becomes a visible file: check, encode, publish.

    Args:
        clip: the stem.
        out: the destination; its suffix says the format.
        record: what was done.
        source: the file it was made from, which is never overwritten.
        carried, mask: see `render.files.encode.encode`.
        force: replace a file that is there.
        umask: permissions that what is made does not get; this process's own by default.

    Returns:
        The sidecar's content.

    Raises:
        UsageError: a suffix or bit depth that cannot be written.
        OutputError: the destination is refused, or the samples would clip. Nothing is left behind.
    """
    how = encoding(record.preset, record.source_name, out.name)
    check_destination(out, source, force=force, record=record)
    with part_beside(out, umask) as part, as_output_error(out):
        encoded = encode(clip, part, how, record.preset, carried, mask)
        return publish(part, out, encoded, record, force=force, umask=umask)


def publish(
    part: Path,
    out: Path,
    encoded: Encoded,
    record: StemRecord,
    *,
    force: bool = False,
    umask: int | None = None,
) -> dict[str, Any]:
    """Makes a finished part visible as `out`, with its sidecar.

    Args:
        part: from `part_beside(out)`, complete.
        out: the destination.
        encoded: what was written to `part`.
        record: what was done.
        force: replace a file that is there.
        umask: as for `part_beside`, for the sidecar.

    Returns:
        The sidecar's content.

    Raises:
        OutputError: the destination is refused, no room, no permission. `out` is then unchanged.
    """
    said = sidecar(out, encoded, record)
    with as_output_error(out), part_beside(sidecar_path(out), umask) as note:
        note.write_bytes(written(said))
        settle(note)
        settle(part)
        with _one_at_a_time(out.parent):
            check_destination(out, force=force, record=record)
            os.replace(note, sidecar_path(out))
            if force:
                os.replace(part, out)
            else:
                _move_without_replacing(part, out)
        settle(out.parent)
    return said


def _move_without_replacing(part: Path, out: Path) -> None:
    try:
        os.link(part, out)
    except FileExistsError:
        sidecar_path(out).unlink(missing_ok=True)
        raise OutputError(f"{out}: appeared while it was being rendered; {FORCE}", str(out)) from None
    except OSError:
        os.replace(part, out)  # a file system without hard links


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Locks a folder against others who publish in it, so that a stem and its sidecar are of one render.

    Where the system has no such lock, two who replace the same file at the same moment may still mix them.
    """
    handle = None
    try:
        with suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)
