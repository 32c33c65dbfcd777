"""A folder that is replaced by a symbolic link, at whatever moment, leads no job outside the roots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.wire.messages import DeliverPath, Done, Submit
from bridge.wire.messages import Path as PathSource
from bridge.wire.ulid import new_ulid
from engine.serving.worker_messages import Task
from engine.state.spool import Spool
from engine.worker import recordings as recordings_module
from engine.worker import source as source_module
from engine.worker.held_paths import CAN_HOLD, HeldFolder
from engine.worker.model_cache import ModelCache
from engine.worker.recordings import open_recordings
from engine.worker.run_job import run_job
from engine.worker.source import below, open_source
from presets.errors import InputError, OutputError
from presets.schema import make
from render.files.carried import metadata
from render.upscaler import Step

pytestmark = pytest.mark.skipif(not CAN_HOLD, reason="this system cannot hold a path")


def ignore(step: Step) -> None:
    """A progress hook that does nothing."""


@dataclass
class Scene:
    """A folder `takes` below the root, and one outside of it with files of the same names."""

    root: Path
    outside: Path
    spool: Spool

    def exchange(self, name: str = "takes") -> None:
        """Replaces a folder below the root by a link to the folder outside."""
        if not (self.root / name).is_symlink():
            (self.root / name).rename(self.root / f"{name} of before")
            (self.root / name).symlink_to(self.outside)

    def submit(self, source: str = "takes/a.wav", out: str = "a.wav", **knobs: Any) -> Submit:
        deliver = DeliverPath(str(self.root / out))
        preset = make(**{"model": "null", **knobs})
        return Submit(new_ulid(), PathSource(str(self.root / source)), deliver, preset)

    def run(self, submit: Submit, on_step: Callable[[Step], None] = ignore) -> Done:
        return run_job(Task(submit, "", 10**9), self.spool, ModelCache("cpu"), (self.root,), on_step)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    for folder, title in (("root/takes", "inside"), ("outside", "a secret")):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a.wav", "a.flac"):
            noise = 0.1 * np.random.default_rng(len(title)).standard_normal((48000, 1))
            with soundfile.SoundFile(tmp_path / folder / name, "w", 48000, 1) as file:
                file.title = title
                file.write(noise)
    return Scene(tmp_path / "root", tmp_path / "outside", Spool(tmp_path / "spool"))


def exchanging_after_the_check(scene: Scene, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Replaces the folder after the last check that a job makes of the paths in it."""
    checks = 0

    def checked(path: Path, roots: Sequence[Path]) -> bool:
        nonlocal checks
        is_below = below(path, roots)
        checks += 1
        if module is source_module or checks > 3:  # three checks before: of the folder and its two files
            scene.exchange()
        return is_below

    monkeypatch.setattr(module, "below", checked)


def test_a_source_that_is_exchanged_after_the_check_is_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanging_after_the_check(scene, monkeypatch, source_module)
    with pytest.raises(InputError, match=r"takes/a\.wav: cannot be read"):
        scene.run(scene.submit())


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_source_that_is_exchanged_while_it_is_read_stays_what_it_was(scene: Scene, name: str) -> None:
    def exchange(step: Step) -> None:
        scene.exchange()

    before = soundfile.read(scene.root / "takes" / name, dtype="float32")[0]
    submit = scene.submit(f"takes/{name}")
    with open_source(submit, "", scene.spool, (scene.root,), exchange) as source:
        scene.exchange()
        assert np.array_equal(source.clip.read(0, 48000)[0], before)
        assert source.path is not None
        assert [text for _, text in metadata.read(source.path).tags.texts] == ["inside"]
    assert not list((scene.spool.folder / "scratch").iterdir())


def test_a_stem_never_lands_outside(scene: Scene) -> None:
    (scene.root / "out").mkdir()

    def exchange(step: Step) -> None:
        if step.stage == "render":
            scene.exchange("out")

    done = scene.run(scene.submit(out="out/b.wav"), exchange)
    assert done.stems[0].path == str(scene.root / "out" / "b.wav")
    assert (scene.root / "out").is_symlink()
    assert not (scene.outside / "b.wav").exists()
    left = sorted(path.name for path in (scene.root / "out of before").iterdir())
    assert left == ["b.wav", "b.wav.airband.json"]


def test_a_link_where_a_folder_was_missing_is_refused(scene: Scene) -> None:
    new = scene.root / "new"

    def link(step: Step) -> None:
        if not new.is_symlink():
            new.symlink_to(scene.outside)

    with pytest.raises(OutputError, match=r"root/new/deep: cannot be made"):
        scene.run(scene.submit(out="new/deep/b.wav"), link)
    assert not (scene.outside / "deep").exists()


def test_missing_folders_are_made_with_the_permissions_that_were_asked_for(scene: Scene) -> None:
    folder = HeldFolder(scene.root / "one" / "two")
    with folder.opened(0o027, make=True) as place:
        (place / "b").write_text("b")
    folder.close()
    assert (scene.root / "one" / "two" / "b").read_text() == "b"
    assert [(scene.root / name).stat().st_mode & 0o777 for name in ("one", "one/two")] == [0o750, 0o750]


def test_errors_name_the_users_paths(scene: Scene) -> None:
    (scene.root / "takes" / "b.wav").write_bytes(b"no audio")
    with pytest.raises(InputError) as caught:
        scene.run(scene.submit("takes/b.wav"))
    assert "b.wav" in caught.value.message
    assert "source" not in caught.value.message.partition(":")[0]
    (scene.root / "taken.wav").write_bytes(b"something else")
    with pytest.raises(OutputError) as refused:
        scene.run(scene.submit(out="taken.wav"))
    assert refused.value.message.startswith(f"{scene.root}/taken.wav: exists")
    assert refused.value.field == f"{scene.root}/taken.wav"


def test_a_recording_that_is_exchanged_after_the_check_is_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanging_after_the_check(scene, monkeypatch, recordings_module)
    like = str(scene.root / "takes")
    with (
        pytest.raises(InputError, match="cannot be read"),
        open_recordings(like, scene.spool, (scene.root,), ignore, "job"),
    ):
        pass
