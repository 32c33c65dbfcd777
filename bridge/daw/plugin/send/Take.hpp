#pragma once
#include "Client.hpp"
#include "System.hpp"
#include "WaveFile.hpp"

#ifndef AIRBAND_CHANNELS
#define AIRBAND_CHANNELS 2
#endif

/// A captured clip: a broadcast WAV file in the outbox, and beside it a line of JSON that describes it. Both are on disk
/// from the first sample on, so that a host that ends or is killed loses nothing.
struct Take {
    static constexpr uint32_t kChannels = AIRBAND_CHANNELS;

    std::string name;                 ///< Of its files, without suffix.
    std::string instance;             ///< The plugin that captured it.
    std::string job;                  ///< Its job in the engine.
    WaveHead head;
    airband::Knobs knobs;
    std::string note;                 ///< For the user: a gap at its end, samples that were not numbers.

    /// As JSON; `state` is its progress.
    std::string described(const char* state) const;
    /// From JSON; throws std::exception if it is not one of ours.
    static Take from(const std::string& name, const std::string& json);
};

/// Writes a take's samples as they arrive, for one thread.
class Capture {
public:
    /// Creates the file, which must not exist; throws std::runtime_error if that fails.
    Capture(const std::string& path, const Take& take);

    /// Appends interleaved samples. NaN and infinite ones become 0 and are counted. False once the disk is full.
    bool append(float* interleaved, uint32_t frames);
    /// Closes the file; `cut`: why the take ends before the sound did, or nullptr.
    Take finish(const char* cut, const airband::Knobs& knobs);

    uint64_t frames() const { return fTake.head.frames; }

private:
    Take fTake;
    airband::File fFile;
    uint64_t fNotNumbers = 0, fFirstNotNumber = 0;

    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
};
