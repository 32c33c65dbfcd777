"""A finished file becomes visible, whole and with its sidecar, or not at all.

A stem is written under a hidden name in its own folder, so that the last step is a rename. The sidecar is put
in place first: a stem that is visible always has its own beside it, and a sidecar without its stem only means
that the work is still to be done.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presets.errors import OutputError
from render.files.encode import Encoded, encode, encoding
from render.files.sidecar import StemRecord, name_bytes, sidecar, sidecar_path, written

if TYPE_CHECKING:
    from render.clip import Clip
    from render.files.metadata import Metadata

FORCE = "--force replaces it"
"""The way out that a refusal ends with; who has no such flag names another."""

SWEEP_S = 1.0
"""How often, at most, a process looks through a folder for what killed ones left: among thousands of files
that takes a hundredth of a second."""

_serial = itertools.count()
_swept_s: dict[tuple[int, int], float] = {}
"""By device and inode: one path may lead to one folder now and to another next."""


def check_destination(out: Path, source: Path | None = None, *, force: bool = False) -> None:
    """Refuses a destination before any work is done for it.

    Args:
        out: where the stem is to appear.
        source: what it is made from; never overwritten, not even by `force`.
        force: whether an existing file may be replaced.

    Raises:
        OutputError: it is the source, no regular file, exists and `force` is off, or cannot be: a name that
            is too long, no permission to look.
    """
    if "\0" in str(out):
        raise OutputError(f"{str(out)!r}: a path holds no NUL", str(out))
    with _told(out):
        if not out.exists():
            _ask_about_name(out)
            return
        if source is not None and source.exists() and out.samefile(source):
            raise OutputError(f"{out}: is the source itself; choose another name or folder", str(out))
        if not out.is_file():
            raise OutputError(f"{out}: exists and is not a file", str(out))
    if not force:
        raise OutputError(f"{out}: exists and is not the result of this very render; {FORCE}", str(out))


def _ask_about_name(out: Path) -> None:
    """Raises OSError where the nearest folder that is there takes no file of that name."""
    folder = out.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with suppress(FileNotFoundError):
        (folder / out.name).lstat()


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
    check_destination(out, source, force=force)
    with part_beside(out, umask) as part, _told(out):
        encoded = encode(clip, part, how, record.preset, carried, mask)
        return publish(part, out, encoded, record, force=force, umask=umask)


@contextmanager
def part_beside(out: Path, umask: int | None = None) -> Iterator[Path]:
    """A hidden path in `out`'s folder to write to; whatever is still there at the end is removed.

    Missing folders are made, in the group of the folder above where that hands its group on (setgid). What
    processes of this machine that no longer live left in the folder is removed first; a process
    looks for that once in SWEEP_S at most. The path is locked meanwhile: a process in another container may
    bear this machine's name, and its number means nothing here.

    Args:
        out: what the path will become.
        umask: permissions that the file and the folders do not get: those of the user for whom an engine,
            which keeps its own files to itself, writes. This process's own by default.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    tag = hashlib.blake2b(os.fsencode(out.name), digest_size=6).hexdigest()
    part = out.with_name(f".airband-{tag}-{socket.gethostname()}-{os.getpid()}-{next(_serial)}.part")
    handle = None
    try:
        with _told(out):
            _make_folder(out.parent, umask)
            with suppress(PermissionError):  # a drop box: what is in it is for others to see
                _sweep(out.parent)
            part.touch(exist_ok=False)
            if os.name != "nt":  # an open file cannot be renamed there
                handle = os.open(part, os.O_RDONLY)
                _is_locked_now(handle)
            if umask is not None:
                permit(part, out.parent, 0o666, umask)
        yield part
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):
            part.unlink(missing_ok=True)


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
        OutputError: `out` exists and `force` is off, no room, no permission. `out` is then as it was.
    """
    said = sidecar(out, encoded, record)
    with _told(out), part_beside(sidecar_path(out), umask) as note:
        note.write_bytes(written(said))
        _settle(note)
        _settle(part)
        with _one_at_a_time(out.parent):
            if out.exists():
                check_destination(out, force=force)
            os.replace(note, sidecar_path(out))
            if force:
                os.replace(part, out)
            else:
                _move_without_replacing(part, out)
        _settle(out.parent)
    return said


def put_in_place(part: Path, out: Path) -> None:
    """A finished part becomes `out`, in one step.

    A file that is there hands on its permissions, and as far as the user may give them its owner, its group
    and its extended attributes.

    Raises:
        OutputError: no permission. `out` is then as it was.
    """
    with _told(out):
        if out.exists():
            _hand_on(out, part)
        _settle(part)
        os.replace(part, out)
        _settle(out.parent)


def _hand_on(out: Path, part: Path) -> None:
    about = out.stat()
    for owner, group in ((-1, about.st_gid), (about.st_uid, -1)):
        with suppress(OSError, AttributeError):  # another's; Windows
            os.chown(part, owner, group)
    with suppress(OSError, AttributeError):  # none there; not on this system
        for name in os.listxattr(out):
            with suppress(OSError):
                os.setxattr(part, name, os.getxattr(out, name))
    with suppress(OSError):
        part.chmod(about.st_mode & 0o777)


def permit(made: Path, folder: Path, most: int, umask: int) -> None:
    """Gives what was just made in a folder what a umask leaves of the permissions `most`.

    A default access list (ACL) of the folder stands in the place of any umask, and has given them already.
    """
    with suppress(OSError, AttributeError):  # no access lists there; not on this system
        if "system.posix_acl_default" in os.listxattr(folder):
            return
    with suppress(OSError):  # one mode for all
        made.chmod(most & ~umask | made.stat().st_mode & stat.S_ISGID)


def _move_without_replacing(part: Path, out: Path) -> None:
    try:
        os.link(part, out)
    except FileExistsError:
        sidecar_path(out).unlink(missing_ok=True)
        raise OutputError(f"{out}: appeared while it was being rendered; {FORCE}", str(out)) from None
    except OSError:
        os.replace(part, out)  # a file system without hard links


def own_umask() -> int:
    """This process's umask. Linux tells it; elsewhere it is set for a moment, which other threads see."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _sweep(folder: Path) -> None:
    """Removes the parts of this machine's dead processes, unless the folder was looked through just now."""
    about, now_s = os.stat(folder), time.monotonic()
    identity = about.st_dev, about.st_ino
    if now_s - _swept_s.get(identity, -SWEEP_S) < SWEEP_S:
        return
    _swept_s[identity] = now_s
    ours = re.compile(rf"\.airband-[0-9a-f]{{12}}-{re.escape(socket.gethostname())}-(\d+)-\d+\.part")
    for name in os.listdir(folder):
        found = ours.fullmatch(name)
        if found and not _lives(found[1]):
            with suppress(OSError):  # somebody else's, in a folder where each may remove but his own
                _remove_unless_locked(folder / name)


def _remove_unless_locked(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if _is_locked_now(handle):
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_locked_now(handle: int) -> bool:
    """Locks an open file until it is closed; False where another process has. True without such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _make_folder(folder: Path, umask: int | None) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, umask)
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
        if umask is not None:
            permit(folder, folder.parent, 0o777, umask)


def _settle(path: Path) -> None:
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL or not path.is_dir():  # file servers may sync no folders
                raise
        finally:
            os.close(handle)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keeps others who publish in a folder waiting, so that a stem and its sidecar are of one render.

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


def _lives(pid: str) -> bool:
    if os.name == "nt":  # signal 0 is no mere question there
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "no room on disk; make some, or choose another folder"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "no permission to write there; choose another folder"
        elif error.errno == errno.ENAMETOOLONG:
            most = name_bytes(out.parent)
            reason = f"{reason}; a name there has {most} bytes at the most, choose a shorter one"
        raise OutputError(f"{out}: {reason}", str(out)) from None
