#pragma once
#include <cstdint>
#include <cstdio>
#include <vector>

/// A captured clip: planar samples in temporary files that vanish with it, so that a long one needs no memory.
class Take {
public:
    static constexpr uint32_t kChannels = 2;

    /// Begins a take. `position`: the frame of the host's transport it starts at, -1 where the host tells none.
    Take(uint32_t rate, int64_t position);
    ~Take();

    void append(const float* const* samples, uint32_t frames);
    /// Copies bytes [offset, offset + count) of the planar clip; throws std::runtime_error where that fails.
    void read(uint64_t offset, char* into, size_t count) const;

    const uint32_t rate;
    const int64_t position;
    uint64_t frames = 0;
    /// False once the disk took no more.
    bool intact = true;

private:
    FILE* fFiles[kChannels];

    Take(const Take&) = delete;
    Take& operator=(const Take&) = delete;
};
