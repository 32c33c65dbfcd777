#pragma once
#include "Connection.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace airband {

/// What of a preset the plugins set; the rest stays at the engine's defaults.
struct Knobs {
    std::string model = "auto";
    double cutoffHz = 0; ///< 0: the engine finds the cut-off.
    uint64_t seed = 0;
    double highGainDb = 0;
    int64_t start = -1, end = -1; ///< The frames [start, end) of the clip to render; -1: all.
};

/// A fresh name for a job, a ULID: 48 bits of milliseconds and 80 of chance in Crockford's base 32.
std::string newJob();

/// $AIRBAND_MODEL, or `auto`.
std::string modelFromEnvironment();

/// A clip of planar float samples, as the protocol carries it.
struct Layout {
    uint32_t rate, channels;
    uint64_t frames;

    uint64_t bytes() const { return frames * channels * sizeof(float); }
};

/// Copies bytes [offset, offset + count) of a clip to `into`.
using Read = std::function<void(uint64_t offset, char* into, size_t count)>;
/// Takes bytes of a result, from `offset` on.
using Write = std::function<void(uint64_t offset, const char* from, size_t count)>;
/// Hears how far a job is, from 0 to 1.
using OnProgress = std::function<void(float)>;

/// A client of the engine, protocol 1 (bridge/wire/messages.py): one DEALER socket, one conversation at a time.
///
/// All calls block, so none belongs in an audio thread that has a deadline. They throw EngineAbsent, Refused, and
/// Stopped once `stop` is set.
class Client {
public:
    struct Stopped : std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    /// Connects and says hello.
    Client(const char* name, const std::atomic<bool>& stop);
    ~Client();

    /// Submits a job and uploads its samples, until the engine has queued it. With a `path` the engine publishes
    /// the result there; else it waits to be fetched. To submit a job again is safe: its upload goes on.
    void submit(const std::string& job, const Layout& clip, const Read& read, const Knobs& knobs,
        const std::string& path = "");
    /// Waits for a job's end.
    void watch(const std::string& job, const OnProgress& onProgress);
    /// Fetches all bytes of the result.
    void fetch(const std::string& job, uint64_t bytes, const Write& write);
    /// Lets the engine drop the job and its result.
    void forget(const std::string& job);

private:
    void upload(const std::string& job, uint64_t total, uint64_t offset, const Read& read);

    struct Wire;
    Wire* const fWire;

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
};

} // namespace airband
