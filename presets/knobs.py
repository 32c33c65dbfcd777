"""What each knob does, its unit and its bounds, in the words of `--help` and of the README."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from presets.limits import CUTOFF_MAX_HZ, CUTOFF_MIN_HZ

Sampler = Literal["ddim", "dpmpp_2m", "unipc"]
Vocoder = Literal["auto", "hifigan", "phase"]
Stereo = Literal["linked", "mid_side", "independent", "mono"]
Stem = Literal["full", "high", "low"]
Format = Literal["wav", "flac", "aiff"]
Rate = Literal[44100, 48000, 88200, 96000]

ModelName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9-]{0,63}$(?!\\n)",
        description="What generates the band; `auto`: AudioSR where its weights and a GPU are, else draft.",
        extra={"words": "auto, or a name that `airband models` lists (lower-case letters, digits, dashes)"},
    ),
]
CutoffHz = Annotated[float, Meta(ge=CUTOFF_MIN_HZ, le=CUTOFF_MAX_HZ)]
Cutoff = Annotated[
    Literal["auto", "rolloff"] | CutoffHz,
    Meta(
        description="Where the original band ends: `auto` looks for a cliff in the spectrum, `rolloff` takes "
        "the frequency below which 0.99 of the magnitudes lie (AudioSR, section 3.2), a number is the -6 dB "
        "edge.",
        extra={"unit": "Hz"},
    ),
]
Seed = Annotated[
    int,
    Meta(
        ge=0,
        le=2**63 - 1,
        description="Seed of the generated band; draft: 0 gives the balance it expects, 1 to 4 give others.",
    ),
]
Steps = Annotated[int, Meta(ge=1, le=1000, description="Sampler steps (AudioSR).")]
SamplerName = Annotated[Sampler, Meta(description="Sampler (AudioSR).")]
CacheInterval = Annotated[
    int,
    Meta(
        ge=1,
        le=10,
        description="Sampler steps that share one output of the coarse levels of AudioSR's U-Net, nine "
        "tenths of its work (DeepCache); 1 computes it at every step.",
        extra={"unit": "steps"},
    ),
]
GuidedShare = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="Share of the sampler's steps, from the first on, that are guided (AudioSR); the "
        "first quarter does most.",
    ),
]
CfgScale = Annotated[
    Literal["auto"] | Annotated[float, Meta(ge=1, le=10)],
    Meta(
        description="Classifier-free guidance scale (AudioSR): 1 is none, more makes the band bolder; `auto` "
        "is the scale the model was made for, 3.5 for the official ones."
    ),
]
VocoderName = Annotated[
    Vocoder,
    Meta(
        description="How AudioSR's spectrogram becomes sound: `hifigan` is the model's own network, `phase` "
        "finds phases at a hundredth of the cost, `auto` is the network where the model has one."
    ),
]
StereoPolicy = Annotated[
    Stereo,
    Meta(
        description="How channels are held together: `linked` keeps what is equal in two channels equal, "
        "`mid_side` works on the sum and the difference of every left and right, `independent` on each "
        "channel alone, `mono` on their mean."
    ),
]
Lfe = Annotated[bool, Meta(description="Generate into a low-frequency channel (LFE) too.")]
Joint = Annotated[
    bool,
    Meta(
        description="Average overlapping windows at every step (AudioSR): the smoothest long textures, but a "
        "selection no longer equals that stretch of the full render."
    ),
]
HighGainDb = Annotated[
    float, Meta(ge=-24, le=24, description="Gain of the generated band.", extra={"unit": "dB"})
]
AirDb = Annotated[
    float,
    Meta(
        ge=-12,
        le=12,
        description="Tilt of the generated band: gain at its top, rising from none at the cut-off (draft).",
        extra={"unit": "dB"},
    ),
]
FillHoles = Annotated[
    bool, Meta(description="Generate into a codec's holes below the cut-off too; the sidecar lists them.")
]
CeilingHz = Annotated[float, Meta(ge=2000, le=24000)]
Ceiling = Annotated[
    CeilingHz | None,
    Meta(
        description="Where the generated band ends, above the cut-off; by default where the result's band "
        "does (draft).",
        extra={"unit": "Hz", "unset": "none"},
    ),
]
CrossoverOctaves = Annotated[
    float, Meta(ge=1 / 24, le=1 / 2, description="Width of the crossover.", extra={"unit": "octaves"})
]
GateDb = Annotated[float, Meta(ge=-120, le=-40)]
Gate = Annotated[
    Literal["off"] | GateDb,
    Meta(description="Below this level, per 50 ms, nothing is generated.", extra={"unit": "dBFS"}),
]
StemName = Annotated[
    Stem, Meta(description="The whole result, only the generated band, or only the original band.")
]
RateHz = Annotated[Rate, Meta(description="Rate of the result.", extra={"unit": "Hz"})]
FormatName = Annotated[
    Format | None,
    Meta(
        description="File format of the result; by default the source's, or wav.",
        extra={"unset": "as the source"},
    ),
]
BitDepth = Annotated[
    Literal[0, 16, 24, 32],
    Meta(
        description="Bits a sample; 0 is the format's own default: 32 (float) for wav and aiff, 24 for flac.",
        extra={"words": "16, 24, 32 (float), 0"},
    ),
]
Dither = Annotated[Literal["tpdf", "none"], Meta(description="Dither of a 16 or 24-bit result.")]
Seconds = Annotated[float, Meta(ge=0, le=1e8)]
Place = Annotated[
    str, Meta(pattern="^([0-9]{1,15}smp|([0-9]{1,3}:)?[0-9]{1,4}:[0-9]{1,2}([.:;][0-9]{1,9})?)$(?!\\n)")
]
Position = Seconds | Place | None
"""A place in the source: seconds as a number; samples as "480000smp"; "mm:ss.mmm"; SMPTE time code, which
needs `fps`; None for its end (or start)."""
POSITION = {"words": "seconds, mm:ss.mmm, samples as 480000smp, or hh:mm:ss:ff with fps"}
Fps = Annotated[
    Literal["23.976", "24", "25", "29.97", "30", "50", "59.94", "60"] | None,
    Meta(description="Pictures a second, for `start` and `end` as SMPTE time code."),
]
Start = Annotated[
    Position, Meta(description="Where the rendered stretch of the source begins.", extra=POSITION)
]
End = Annotated[Position, Meta(description="Where the rendered stretch of the source ends.", extra=POSITION)]

Stream = Annotated[
    int,
    Meta(ge=0, le=99, description="Which audio stream of a source that holds several; 0 is the first."),
]
AcceptTruncated = Annotated[
    bool,
    Meta(
        description="Render what there is of a source that breaks off or is damaged, instead of refusing it; "
        "sidecar and report say what is missing."
    ),
]
Like = Annotated[
    Annotated[str, Meta(min_length=1, max_length=4096)] | None,
    Meta(
        description="A full-band recording of the same voice, instrument or room, or a folder of them: it is "
        "cut as the source is, and the model's error on it corrects the generated band.",
        extra={"words": "a file or a folder", "unset": "none"},
    ),
]
