"""`airband daw install HOST`: puts a host's files where it looks for them, and removes just those again.

A manifest in the state folder, written before the first file, lists each installed file with its digest, and
each folder created for it. A file that was changed since belongs to the user, and is kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bridge.daw.audacity.settings import ON, SETTINGS, switch, value
from bridge.daw.places import Host, placed
from bridge.wire.home import Home, prepare
from presets.errors import InputError, OutputError
from render.files.encode import file_digest
from render.files.parts import part_beside, put_in_place, write_whole


class Manifest(msgspec.Struct, omit_defaults=True):
    """The files installed below one folder.

    Attributes:
        files: path to blake2b-256 of the installed content.
        folders: created for them, outer ones first.
        script_pipe: Audacity's earlier setting; "" if it was not changed.
    """

    files: dict[str, str] = {}
    folders: list[str] = []
    script_pipe: str = ""


def install_host(host: Host, root: Path, home: Home, built: Path = Path()) -> list[str]:
    """Installs a host's files over those of an earlier version; returns what was done, in lines.

    Args:
        host: the host.
        root: its folder, as `root_of` gives it.
        home: of the engine; the manifest lies in its state folder.
        built: the folder of the built plugins; only for Host.plugin.

    Raises:
        InputError: the host has not been started yet.
        OutputError: a file that Airband did not install is in the way, or a folder cannot be written. All
            files are checked before the first is written.
    """
    path = _manifest_path(host, root, home)
    earlier = _read(path)
    wanted = placed(host, root, built, home.state)
    digests = {target: _digest(source) for target, source in wanted.items()}
    fresh = [target for target in wanted if _must_be_written(target, digests[target], earlier)]
    pipe = value(root / SETTINGS) if host is Host.audacity else ON
    dropped = {name: digest for name, digest in earlier.files.items() if Path(name) not in wanted}
    manifest = Manifest(
        files={**earlier.files, **{str(target): digests[target] for target in fresh}},
        folders=[*earlier.folders, *map(str, _missing_folders(fresh))],
        script_pipe=earlier.script_pipe if pipe == ON else pipe,
    )
    prepare(home)
    _write(path, manifest)
    for target in fresh:
        with part_beside(target) as part:
            _write_source(wanted[target], part)
            put_in_place(part, target)
    for name in _taken_away(dropped)[0]:
        del manifest.files[name]
    _write(path, manifest)
    told = [f"{target}: installed" for target in fresh]
    if pipe != ON:
        switch(root / SETTINGS, ON)
        told.append(f"{root / SETTINGS}: mod-script-pipe is on; it takes effect when Audacity next starts")
    return told or [f"{root}: everything is installed already"]


def uninstall_host(host: Host, root: Path, home: Home) -> list[str]:
    """Removes installed files that were not changed since; returns what was done, in lines.

    Raises:
        InputError: nothing was installed there.
    """
    path = _manifest_path(host, root, home)
    if not path.exists():
        raise InputError(f"{host} was not installed in {root}; --into names another folder", "into")
    manifest = _read(path)
    gone, kept = _taken_away(manifest.files)
    for folder in reversed(manifest.folders):
        if Path(folder).is_dir() and not any(Path(folder).iterdir()):
            Path(folder).rmdir()
    told = [*(f"{name}: removed" for name in gone), *(f"{name}: kept, it was changed" for name in kept)]
    if manifest.script_pipe and value(root / SETTINGS) == ON:
        switch(root / SETTINGS, manifest.script_pipe)
        told.append(f"{root / SETTINGS}: mod-script-pipe is set as before the installation")
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
    return told


def _digest(source: Path | bytes) -> str:
    if isinstance(source, Path):
        return file_digest(source)
    return hashlib.blake2b(source, digest_size=32).hexdigest()


def _write_source(source: Path | bytes, part: Path) -> None:
    if isinstance(source, bytes):
        part.write_bytes(source)
        return
    shutil.copyfile(source, part)
    shutil.copymode(source, part)


def _must_be_written(target: Path, digest: str, earlier: Manifest) -> bool:
    if not target.exists():
        return True
    there = file_digest(target) if target.is_file() else ""
    if there == digest:
        return False
    if there != earlier.files.get(str(target)):
        raise OutputError(f"{target}: exists, and is not as Airband installed it; move it away", "into")
    return True


def _taken_away(files: dict[str, str]) -> tuple[list[str], list[str]]:
    """Removes the files that are unchanged since installation; returns the names of removed and kept ones."""
    gone, kept = [], []
    for name, digest in files.items():
        if not Path(name).exists():
            continue
        if Path(name).is_file() and file_digest(Path(name)) == digest:
            Path(name).unlink()
            gone.append(name)
        else:
            kept.append(name)
    return gone, kept


def _missing_folders(files: Iterable[Path]) -> list[Path]:
    missing = {folder for file in files for folder in file.parents if not folder.exists()}
    return sorted(missing, key=lambda folder: len(folder.parts))


def _manifest_path(host: Host, root: Path, home: Home) -> Path:
    name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()
    return home.state / "daw" / f"{host}-{name}.json"


def _read(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is damaged: {error}; remove by hand what was installed", "state") from None


def _write(path: Path, manifest: Manifest) -> None:
    write_whole(path, msgspec.json.encode(manifest))
