"""The file that Airband Send records into, tested without a plugin."""

import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile as sf

SEND = Path(__file__).parents[4] / "bridge" / "daw" / "plugin" / "send"

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on PATH")


@pytest.fixture(scope="module")
def wave_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("wave") / "wave_head"
    sources = [Path(__file__).parent / "wave_head.cpp", SEND / "WaveFile.cpp"]
    subprocess.run(["g++", "-std=c++11", f"-I{SEND}", *sources, "-o", program], check=True, timeout=300)
    return program


@pytest.mark.parametrize("frames", [1, 2**29 - 600, 2**31 + 5], ids=["one", "below 4 GiB", "beyond 2^31"])
def test_a_take_of_any_length_can_be_read(wave_head: Path, tmp_path: Path, frames: int) -> None:
    wavinfo = pytest.importorskip("wavinfo")
    path = tmp_path / "take.wav"
    path.write_bytes(subprocess.run([wave_head, str(frames)], capture_output=True, check=True).stdout)
    with path.open("r+b") as file:
        file.truncate(file.seek(0, 2) + 8 * frames)  # sparse: silence that takes no disk space
    about = sf.info(path)
    assert (about.frames, about.channels, about.samplerate) == (frames, 2, 48000)
    assert wavinfo.WavInfoReader(str(path)).bext.time_reference == 2**33
