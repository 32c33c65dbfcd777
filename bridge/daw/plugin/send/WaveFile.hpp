#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// What stands before the samples of a broadcast WAV file of 32-bit floats.
struct WaveHead {
    uint32_t rate = 48000, channels = 2;
    uint64_t frames = 0;
    int64_t position = -1;    ///< Frame of the transport at which it begins: bext's TimeReference; -1: none is known.
    std::string track, scene; ///< iXML's track name, and its scene.

    /// The head's bytes: kWaveHeadBytes of them, whatever stands in it, so that it can be written again at the end.
    /// RF64 where the samples need it. Sources: EBU Tech 3285 (bext), EBU Tech 3306 (RF64), the iXML specification.
    std::vector<char> bytes() const;
};

static constexpr uint64_t kWaveHeadBytes = 4096;
