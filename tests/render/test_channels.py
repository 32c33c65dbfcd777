"""Tone n comes out of speaker n, whatever a format's own order of channels."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from render.channels import PAIRS, core_audio_order, speakers, to_wav_order
from render.clip import open_clip

LAYOUTS = {"3.0": 0x7, "2.1": 0xB, "3.0(back)": 0x103, "4.0": 0x107, "3.1": 0xF, "quad": 0x33,
           "quad(side)": 0x603, "5.0": 0x37, "5.0(side)": 0x607, "4.1": 0x10F, "5.1": 0x3F,
           "5.1(side)": 0x60F, "6.0": 0x707, "6.0(front)": 0x6C3, "hexagonal": 0x137, "6.1": 0x70F,
           "6.1(back)": 0x13F,
           "6.1(front)": 0x6CB, "7.0": 0x637, "7.0(front)": 0x6C7, "7.1": 0x63F, "7.1(wide-side)": 0x6CF,
           "octagonal": 0x737, "7.1(wide)": 0xFF}  # fmt: skip
"""All layouts of 3 to 8 channels that ffmpeg 5.1 names."""
ORDERED = {
    "a.wav": (["-c:a", "pcm_s24le"], list(LAYOUTS)),
    "a.w64": (["-c:a", "pcm_s24le"], list(LAYOUTS)),
    "a.aiff": (["-c:a", "pcm_s24be"], list(LAYOUTS)),
    "a.caf": (["-c:a", "pcm_s24le"], list(LAYOUTS)),
    "a.mov": (["-c:a", "pcm_s24le"], list(LAYOUTS)),
    "a.wv": (["-c:a", "wavpack"], list(LAYOUTS)),
    "a.flac": (["-c:a", "flac"], ["3.0", "quad", "5.0(side)", "5.1(side)", "5.1", "6.1", "7.1"]),
    "a.ogg": (["-c:a", "libvorbis"], ["3.0", "quad", "5.0", "5.1", "6.1", "7.1"]),
    # 5.0 and 6.1 are left out: the libopus encoder of ffmpeg 5.1 itself puts them in another order.
    "a.opus": (["-c:a", "libopus", "-b:a", "600k"], ["3.0", "quad", "5.1", "7.1"]),
    "alac.m4a": (["-c:a", "alac"], ["3.0", "4.0", "5.0", "5.1"]),
    "aac.m4a": (["-c:a", "aac", "-b:a", "600k"], ["3.0", "4.0", "5.0", "5.1", "7.1"]),
    "a.ac3": (["-c:a", "ac3", "-b:a", "640k"], ["3.0", "5.0(side)", "5.1(side)"]),
}
ALL = [(name, layout) for name, (_, layouts) in ORDERED.items() for layout in layouts]
SAMPLED = [(name, layouts[-1]) for name, (_, layouts) in ORDERED.items()]
RATE = 48000


def tones(folder: Path, mask: int) -> Path:
    """A WAV with a tone of 40 (n + 1) Hz for speaker n, low enough for an LFE."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    t = np.arange(2 * RATE) / RATE
    count = mask.bit_count()
    samples = np.stack([0.2 * np.sin(2 * np.pi * 40 * (n + 1) * t) for n in range(count)], axis=1)
    pcm = np.rint(samples * 32767).astype("<i2").tobytes()
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, count, RATE, RATE * 2 * count, 2 * count, 16, 22, 16, mask) + guid
    path = folder / "tones.wav"
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def heard_order(path: Path, scratch: Path) -> tuple[list[int], int]:
    with open_clip(path, scratch) as clip:
        samples, mask = clip.read(0, clip.frames), clip.mask
    n = samples.shape[1]
    probes = np.exp(-2j * np.pi * 40 * np.arange(1, 9)[:, None] * np.arange(n) / clip.rate) * np.hanning(n)
    return [int(k) for k in np.abs(samples @ probes.T).argmax(axis=1)], mask


def check(name: str, layout: str, folder: Path) -> None:
    source = tones(folder, LAYOUTS[layout])
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", source, *ORDERED[name][0], folder / name]
    done = subprocess.run(command, capture_output=True, text=True)
    if "Unknown encoder" in done.stderr:
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stderr
    order, mask = heard_order(folder / name, folder)
    assert order == list(range(LAYOUTS[layout].bit_count()))
    if name in ("a.wav", "a.w64", "a.wv", "a.ogg", "a.opus"):
        assert mask == LAYOUTS[layout]
    if name in ("a.aiff", "a.caf", "a.flac"):  # where ffmpeg writes back and side speakers alike
        assert mask in (LAYOUTS[layout], LAYOUTS[layout] & ~0x30 | 0x600)


@pytest.mark.parametrize(("name", "layout"), SAMPLED)
def test_tone_n_comes_out_of_speaker_n(name: str, layout: str, tmp_path: Path) -> None:
    check(name, layout, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), ALL)
def test_tone_n_comes_out_of_speaker_n_in_every_layout(name: str, layout: str, tmp_path: Path) -> None:
    check(name, layout, tmp_path)


TAGS = {
    (118 << 16) | 5: "FL FR SL SR FC",
    (119 << 16) | 5: "FL FC FR SL SR",
    (122 << 16) | 6: "FL FR SL SR FC LFE",
    (124 << 16) | 6: "FC FL FR SL SR LFE",
    (127 << 16) | 8: "FC FLC FRC FL FR SL SR LFE",
}


@pytest.mark.parametrize("suffix", ["caf", "mov"])
@pytest.mark.parametrize("tag", TAGS)
def test_an_order_that_a_layout_tag_tells_is_undone(tmp_path: Path, suffix: str, tag: int) -> None:
    """The file's tones are in the order of its layout tag."""
    names = TAGS[tag].split()
    plain = {3: 0x7, 5: 0x37, 6: 0x3F, 8: 0x63F}[len(names)]
    path = tmp_path / f"a.{suffix}"
    codec = ["-c:a", "pcm_s24be"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", tones(tmp_path, plain), *codec, path], check=True)
    content = bytearray(path.read_bytes())
    at = content.index(b"chan")
    body = at + 12 if suffix == "caf" else at + 8
    content[body : body + 12] = struct.pack(">III", tag, 0, 0)
    path.write_bytes(content)
    mask, order = to_wav_order(names)
    assert heard_order(path, tmp_path) == (order, mask)
    assert [names[n] for n in order] == speakers(mask)


@pytest.mark.parametrize("suffix", ["caf", "mov"])
@pytest.mark.parametrize(
    ("layout", "tag", "names"),
    [
        ("6.1", 125 << 16 | 7, "FL FR FC LFE SL SR BC"),
        ("7.1(wide-side)", 126 << 16 | 8, "FL FR FC LFE SL SR FLC FRC"),
        ("7.1", 128 << 16 | 8, "FL FR FC LFE SL SR BL BR"),
    ],
)
def test_some_tags_mean_another_order_where_ffmpeg_did_not_write_them(
    tmp_path: Path, suffix: str, layout: str, tag: int, names: str
) -> None:
    path, codec = tmp_path / f"a.{suffix}", ["-c:a", "pcm_s24be"]
    source = tones(tmp_path, LAYOUTS[layout])
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *codec, path], check=True)
    content = bytearray(path.read_bytes())
    body = content.index(b"chan") + (12 if suffix == "caf" else 8)
    content[body : body + 12] = struct.pack(">III", tag, 0, 0)
    path.write_bytes(content)
    count = LAYOUTS[layout].bit_count()
    assert heard_order(path, tmp_path) == (list(range(count)), LAYOUTS[layout])
    path.write_bytes(content.replace(b"Lavf", b"Logi"))
    mask, order = to_wav_order(names.split())
    assert heard_order(path, tmp_path) == (order, mask)
    assert mask == LAYOUTS[layout]


def test_an_order_told_speaker_by_speaker() -> None:
    labels = [1, 2, 5, 6, 3, 4]  # left, right, both surrounds, centre, LFE
    described = struct.pack(">III", 0, 0, 6) + b"".join(struct.pack(">I16x", label) for label in labels)
    assert core_audio_order(described, 6) == (0x3F, [0, 1, 4, 5, 2, 3])
    assert core_audio_order(described, 5) == (0, [0, 1, 2, 3, 4])
    assert core_audio_order(b"", 2) == (0, [0, 1])
    assert core_audio_order(struct.pack(">III", 1 << 16, 0x60F, 0), 6) == (0x60F, list(range(6)))


def test_names_that_no_mask_holds_leave_the_order_alone() -> None:
    assert to_wav_order(["FL", "FL"]) == (0, [0, 1])
    assert to_wav_order(["FR", "Lw"]) == (0, [0, 1])
    assert to_wav_order(["FR", "FL"]) == (3, [1, 0])
    assert all(left in speakers(0x3FFFF) and right in speakers(0x3FFFF) for left, right in PAIRS)


def test_without_ffmpeg_vorbis_still_comes_in_the_wav_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check("a.ogg", "5.1", tmp_path)
    monkeypatch.setenv("PATH", "")
    assert heard_order(tmp_path / "a.ogg", tmp_path) == (list(range(6)), 0x3F)
