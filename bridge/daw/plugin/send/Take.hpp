#pragma once
#include "Client.hpp"
#include "System.hpp"
#include "WaveFile.hpp"

#ifndef AIRBAND_CHANNELS
#define AIRBAND_CHANNELS 2
#endif

/// A captured clip: a broadcast WAV file in the outbox, and beside it a line of JSON that says what it is. Both are on
/// disk from the first sample on, so that a host which ends or is killed loses nothing.
struct Take {
    static constexpr uint32_t kChannels = AIRBAND_CHANNELS;

    std::string name;                 ///< Of its files, without suffix.
    std::string instance;             ///< The plugin that captured it.
    std::string job;                  ///< What the engine knows it as.
    WaveHead head;
    airband::Knobs knobs;
    std::string note;                 ///< What the user must know of it: a gap at its end, samples that were no numbers.

    /// As JSON; `state` says where it stands.
    std::string described(const char* state) const;
    /// From JSON; throws std::exception where it is none of ours.
    static Take from(const std::string& name, const std::string& json);
};

/// Writes a take's samples as they come, for one thread.
class Capture {
public:
    /// Makes the file, which must not be there; throws std::runtime_error where that fails.
    Capture(const std::string& path, const Take& take);

    /// Appends interleaved samples. What is no number becomes 0 and is counted. False once the disk took no more.
    bool append(float* interleaved, uint32_t frames);
    /// Closes the file; `cut`: why the take ends before its sound did, or nullptr.
    Take finish(const char* cut, const airband::Knobs& knobs);

    uint64_t frames() const { return fTake.head.frames; }

private:
    Take fTake;
    airband::File fFile;
    uint64_t fNotNumbers = 0, fFirstNotNumber = 0;

    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
};
