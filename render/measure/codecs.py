"""Which codec or lower rate a shelf looks like, by the low-passes of common encoders and resamplers.

Those with a bit rate were measured with eight seconds of white noise at 44.1 kHz, stereo, as the -6 dB point
of the output: LAME 3.100, and ffmpeg 5.1 with its own AAC, libvorbis, libopus and SBC. Opus's other bands are
those of RFC 6716, table 1; telephone and wide-band speech those of ITU-T G.712 and G.722. A shelf is a hint,
not a proof: encoders share low-passes, and engineers use low-passes too. ATRAC is missing because there was
no encoder to measure.
"""

from __future__ import annotations

from render.band.holes import Holes
from render.band.images import RATES_HZ

SHELVES_HZ: tuple[tuple[int, str, str], ...] = (
    (3400, "telephone", ""),
    (4000, "Opus", "narrow-band"),
    (6000, "Opus", "medium-band"),
    (7000, "wide-band telephone", ""),
    (8000, "Opus", "wide-band"),
    (12000, "Opus", "super-wide-band"),
    (20016, "Opus", "full-band"),
    (10863, "MP3", "64 kbit/s"),
    (13500, "MP3", "80 kbit/s"),
    (14992, "MP3", "96 kbit/s"),
    (15138, "MP3", "112 kbit/s"),
    (16000, "MP3", "128 kbit/s"),
    (16559, "MP3", "128 kbit/s"),
    (16527, "MP3", "V5"),
    (17248, "MP3", "V4"),
    (17270, "MP3", "160 kbit/s"),
    (17948, "MP3", "V3"),
    (18637, "MP3", "V2"),
    (18659, "MP3", "192 kbit/s"),
    (19348, "MP3", "224 or 256 kbit/s"),
    (20037, "MP3", "320 kbit/s"),
    (7590, "AAC", "48 kbit/s"),
    (12414, "AAC", "64 kbit/s"),
    (15170, "AAC", "80 kbit/s"),
    (15870, "AAC", "96 kbit/s"),
    (16559, "AAC", "112 kbit/s"),
    (17248, "AAC", "128 kbit/s"),
    (17937, "AAC", "160 kbit/s"),
    (19315, "AAC", "192 kbit/s"),
    (15192, "Vorbis", "q0"),
    (15881, "Vorbis", "q1"),
    (16570, "Vorbis", "q2"),
    (17259, "Vorbis", "q3"),
    (18971, "Vorbis", "q4"),
    (20349, "Vorbis", "q5"),
    (16850, "SBC", "192 kbit/s"),
    (19541, "SBC", "229 kbit/s"),
)
NEAR = 0.012
"""How far a shelf may lie from an encoder's, as a share."""
OF_A_RATE = (0.945, 1.045)
"""Where a file that was at a lower rate ends, as a share of half that rate. Measured with noise at 8, 16,
22.05 and 32 kHz resampled to 48: libsoxr and SoX 0.95 to 0.96, ffmpeg 1.03, SciPy's `resample_poly` 1.04."""
OWN_END = 0.95
"""A shelf from this share of half the file's own rate on comes from that rate."""
LEAVES_HOLES = frozenset({"MP3", "AAC", "SBC"})
HOLED_SHARE = 0.02
"""From this share of empty cells on, codecs that fill what they leave out with noise come last."""


def looks_like(shelf_hz: float | None, holes: Holes | None, rate: int) -> tuple[str, ...]:
    """The encoders whose low-pass a shelf matches, nearest first, one setting each; none without a shelf, or
    where the file's own rate explains it.

    Args:
        shelf_hz: where the band ends.
        holes: those below it. MP3 and AAC leave holes, Opus and Vorbis fill them with noise.
        rate: the file's own.
    """
    if shelf_hz is None or shelf_hz >= OWN_END * rate / 2:
        return ()
    holed = _is_holed(holes)
    near = sorted(
        (holed and codec not in LEAVES_HOLES, abs(hz / shelf_hz - 1), codec, setting)
        for hz, codec, setting in SHELVES_HZ
        if abs(hz / shelf_hz - 1) <= NEAR
    )
    best = {codec: setting for _, _, codec, setting in reversed(near)}
    return tuple(
        f"{codec} {best[codec]}".strip() for codec in dict.fromkeys(codec for _, _, codec, _ in near)
    )


def made_from(shelf_hz: float | None, holes: Holes | None, rate: int) -> int | None:
    """The lower rate, Hz, at whose end a shelf lies; None where there is none, or holes point to a codec.

    Args:
        shelf_hz, holes: as for `looks_like`.
        rate: the file's own.
    """
    if shelf_hz is None or _is_holed(holes):
        return None
    least, most = OF_A_RATE
    fit = [lower for lower in RATES_HZ if least <= 2 * shelf_hz / lower <= most < rate / lower]
    return fit[0] if fit else None


def _is_holed(holes: Holes | None) -> bool:
    return holes is not None and holes.share >= HOLED_SHARE
