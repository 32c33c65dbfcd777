#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// The head of a broadcast WAV file of 32-bit floats, before its samples.
struct WaveHead {
    uint32_t rate = 48000, channels = 2;
    uint64_t frames = 0;
    int64_t position = -1;    ///< Transport position of its first frame: bext's TimeReference; -1: unknown.
    std::string track, scene; ///< iXML's track name and scene.

    /// The head's bytes, always kWaveHeadBytes of them, so that it can be rewritten at the end. RF64 if the size needs
    /// it. Sources: EBU Tech 3285 (bext), EBU Tech 3306 (RF64), the iXML specification.
    std::vector<char> bytes() const;
};

static constexpr uint64_t kWaveHeadBytes = 4096;
