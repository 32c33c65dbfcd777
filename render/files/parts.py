"""A file is written under a hidden name in its own folder, so that it appears whole, or not at all."""

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

from presets.errors import OutputError
from render.files.sidecar import name_bytes

SWEEP_S = 1.0
"""Least time between two searches of a folder for what killed processes left: among thousands of files a
search takes a hundredth of a second."""

_serial = itertools.count()
_swept_s: dict[tuple[int, int], float] = {}
"""When a folder was last searched, by device and inode: a path may later lead to another folder."""


@contextmanager
def part_beside(out: Path, umask: int | None = None) -> Iterator[Path]:
    """A hidden path in `out`'s folder to write to; it is removed if it is still there at the end.

    Missing folders are made, with the group of the folder above where that is setgid. Parts that dead
    processes of this machine left in the folder are removed first; a process searches for them at most once
    in SWEEP_S. The part is locked while it is written: a process in another container may have this machine's
    name, and its process number means nothing here.

    Args:
        out: what the path will become.
        umask: permissions that the file and the folders do not get. An engine, whose own files are private,
            gives the umask of the user for whom it writes; by default this process's own.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    tag = hashlib.blake2b(os.fsencode(out.name), digest_size=6).hexdigest()
    part = out.with_name(f".airband-{tag}-{socket.gethostname()}-{os.getpid()}-{next(_serial)}.part")
    handle = None
    try:
        with as_output_error(out):
            _make_folder(out.parent, umask)
            with suppress(PermissionError):  # a drop box, which this user cannot list
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


def write_whole(out: Path, content: bytes) -> None:
    """Writes these bytes as `out`, which appears whole and replaces a file that is there.

    Raises:
        OutputError: no room, no permission. `out` is then unchanged.
    """
    with part_beside(out) as part:
        with as_output_error(out):
            part.write_bytes(content)
        put_in_place(part, out)


def put_in_place(part: Path, out: Path) -> None:
    """Renames a finished part to `out`, in one step.

    A file that it replaces passes on its permissions and, as far as the user may set them, its owner, group
    and extended attributes.

    Raises:
        OutputError: no permission. `out` is then unchanged.
    """
    with as_output_error(out):
        if out.exists():
            _hand_on(out, part)
        settle(part)
        os.replace(part, out)
        settle(out.parent)


def _hand_on(out: Path, part: Path) -> None:
    about = out.stat()
    for owner, group in ((-1, about.st_gid), (about.st_uid, -1)):
        with suppress(OSError, AttributeError):  # not the user's to set; Windows
            os.chown(part, owner, group)
    with suppress(OSError, AttributeError):  # not in this file system; not on this system
        for name in os.listxattr(out):
            with suppress(OSError):
                os.setxattr(part, name, os.getxattr(out, name))
    with suppress(OSError):
        part.chmod(about.st_mode & 0o777)


def permit(made: Path, folder: Path, most: int, umask: int) -> None:
    """Gives `made`, which was just made in `folder`, the permissions `most` less those of a umask.

    A default access list (ACL) of the folder takes the place of any umask and has set them already.
    """
    with suppress(OSError, AttributeError):  # no access lists in this file system; not on this system
        if "system.posix_acl_default" in os.listxattr(folder):
            return
    with suppress(OSError):  # a file system with one mode for all files
        made.chmod(most & ~umask | made.stat().st_mode & stat.S_ISGID)


def own_umask() -> int:
    """This process's umask. Linux tells it; elsewhere it is changed for a moment, which other threads see."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _sweep(folder: Path) -> None:
    """Removes the parts of this machine's dead processes, unless the folder was searched just now."""
    about, now_s = os.stat(folder), time.monotonic()
    identity = about.st_dev, about.st_ino
    if now_s - _swept_s.get(identity, -SWEEP_S) < SWEEP_S:
        return
    _swept_s[identity] = now_s
    ours = re.compile(rf"\.airband-[0-9a-f]{{12}}-{re.escape(socket.gethostname())}-(\d+)-\d+\.part")
    for name in os.listdir(folder):
        found = ours.fullmatch(name)
        if found and not _lives(found[1]):
            with suppress(OSError):  # another user's, in a folder where each may remove only his own
                _remove_unless_locked(folder / name)


def _remove_unless_locked(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if _is_locked_now(handle):
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_locked_now(handle: int) -> bool:
    """Locks an open file until it is closed. False where another process holds it; True without such
    locks."""
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


def settle(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL or not path.is_dir():  # file servers may sync no folders
                raise
        finally:
            os.close(handle)


def _lives(pid: str) -> bool:
    if os.name == "nt":  # signal 0 does more than ask there
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def as_output_error(out: Path) -> Iterator[None]:
    """Turns an OSError inside into an OutputError about a file: what is refused, and the way out."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{out}: {refusal(error, out)}", str(out)) from None


def refusal(error: OSError, out: Path) -> str:
    """Why `out` cannot be written, and the way out."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no room on disk; make some, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    if error.errno == errno.ENAMETOOLONG:
        return f"{reason}; a name there may have up to {name_bytes(out.parent)} bytes, choose a shorter one"
    if error.errno == errno.ENOTDIR:
        for place in (out, *out.parents):
            if os.path.exists(place) and not place.is_dir():
                return f"{place} is not a folder; choose another"
    return reason
