#pragma once
#include "Connection.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace airband {

/// A preset, and what of it the plugins set themselves.
struct Knobs {
    std::string preset = "music"; ///< A name of presets/; its own values hold where the knobs below say nothing.
    std::string model = "auto";
    double cutoffHz = 0;   ///< 0: as the preset says.
    uint64_t seed = 0;     ///< 0: as the preset says.
    double highGainDb = 0; ///< 0: as the preset says.
    int64_t start = -1, end = -1; ///< The frames [start, end) of the clip to render; -1: all.
};

/// What a finished render says of itself.
struct Report {
    bool generated = false; ///< False: nothing was missing.
    double cutoffHz = 0;    ///< Where the original band ends, when something was generated.
};

/// Crockford's base 32, which names of jobs and of instances are written in.
static constexpr const char* kJobLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A fresh name for a job, a ULID: 48 bits of milliseconds and 80 of chance in kJobLetters.
std::string newJob();

/// $AIRBAND_MODEL, or `auto`.
std::string modelFromEnvironment();

/// A clip of planar float samples, as the protocol carries it.
struct Layout {
    uint32_t rate, channels;
    uint64_t frames;

    uint64_t bytes() const { return frames * channels * sizeof(float); }
};

/// Copies bytes [offset, offset + count) of a source to `into`.
using Read = std::function<void(uint64_t offset, char* into, size_t count)>;
/// Takes bytes of a result, from `offset` on.
using Write = std::function<void(uint64_t offset, const char* from, size_t count)>;
/// Hears how far a job is, from 0 to 1.
using OnProgress = std::function<void(float)>;

struct Message; // of the engine

/// How long a client waits, seconds.
struct Patience {
    double silenceS; ///< For a word from the engine, which answers pings also while it renders.
    double totalS;   ///< For everything it was asked.
};

/// A client of the engine, protocol 1 (bridge/wire/messages.py): one DEALER socket, one conversation at a time.
///
/// All calls block, so none belongs in an audio thread that has a deadline. They throw EngineAbsent, also when the
/// client's patience is at an end; Refused; and Stopped once `stop` is set.
class Client {
public:
    struct Stopped : std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    /// Connects and says hello. `starts`: starts an engine where none runs, see Launcher.hpp.
    Client(const char* name, const std::atomic<bool>& stop, const Patience& patience, bool starts);
    ~Client();

    /// Submits samples and uploads them, until the engine has queued the job. The result waits to be fetched.
    void submitSamples(const std::string& job, const Layout& clip, const Read& read, const Knobs& knobs);
    /// Submits an audio file of `bytes` bytes, called `name`, at `rate` Hz; the engine publishes the result at `path`.
    /// To submit a job again is safe: its upload goes on.
    void submitFile(const std::string& job, const std::string& name, uint64_t bytes, uint32_t rate, const Read& read,
        const Knobs& knobs, const std::string& path);
    /// Waits for a job's end.
    Report watch(const std::string& job, const OnProgress& onProgress);
    /// Fetches all bytes of the result.
    void fetch(const std::string& job, uint64_t bytes, const Write& write);
    /// Lets the engine drop the job and its result.
    void forget(const std::string& job);
    /// Ends a job that is waited for no longer; says so once, and throws nothing.
    void cancel(const std::string& job) noexcept;

private:
    struct Order;
    void submit(const std::string& job, const Order& order, const Read& read);
    /// Sends bytes [offset, total) of a source as they are granted; what the engine says then, which is no grant.
    Message upload(const std::string& job, uint64_t total, uint64_t offset, const Read& read);

    struct Wire;
    Wire* greet(const char* name, const std::atomic<bool>& stop, const Patience& patience);

    Wire* fWire;

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
};

} // namespace airband
