#pragma once
#include "Connection.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace airband {

/// A preset, and the knobs of it that the plugins set themselves.
struct Knobs {
    std::string preset = "music"; ///< A preset's name; its values apply where the knobs below are not set.
    std::string model = "auto";
    double cutoffHz = 0;   ///< 0: as the preset says.
    uint64_t seed = 0;     ///< 0: as the preset says.
    double highGainDb = 0; ///< 0: as the preset says.
    int64_t start = -1, end = -1; ///< Range of frames [start, end) to render; -1: from the start, to the end.
};

/// The report of a finished render.
struct Report {
    bool generated = false; ///< False: nothing was missing.
    double cutoffHz = 0;    ///< Upper end of the original band, if something was generated.
};

/// Crockford's base 32, used for names of jobs and instances.
static constexpr const char* kJobLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new name for a job, a ULID: 48 bits of milliseconds and 80 random bits, in kJobLetters.
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
/// Takes bytes of a result, starting at `offset`.
using Write = std::function<void(uint64_t offset, const char* from, size_t count)>;
/// Gets the progress of a job, from 0 to 1.
using OnProgress = std::function<void(float)>;

struct Message; // from the engine

/// How long a client waits, in seconds.
struct Patience {
    double silenceS; ///< For any message of the engine, which answers pings also while it renders.
    double totalS;   ///< For everything together.
};

/// A client of the engine, protocol 1 (bridge/wire/messages.py): one DEALER socket, one conversation at a time.
///
/// All calls block, so none may be made in an audio thread with a deadline. They throw EngineAbsent, also when the
/// client's patience is exceeded; Refused; and Stopped once `stop` is set.
class Client {
public:
    struct Stopped : std::runtime_error {
        using std::runtime_error::runtime_error;
    };

    /// Connects and greets. `starts`: start an engine if none runs, see Launcher.hpp.
    Client(const char* name, const std::atomic<bool>& stop, const Patience& patience, bool starts);
    ~Client();

    /// Submits samples and uploads them; returns when the engine has queued the job. `fetch` gets the result later.
    void submitSamples(const std::string& job, const Layout& clip, const Read& read, const Knobs& knobs);
    /// Submits an audio file called `name`, of `bytes` bytes, at `rate` Hz; the engine writes the result at `path`.
    /// A job may be submitted again: its upload continues.
    void submitFile(const std::string& job, const std::string& name, uint64_t bytes, uint32_t rate, const Read& read,
        const Knobs& knobs, const std::string& path);
    /// Waits for the end of a job.
    Report watch(const std::string& job, const OnProgress& onProgress);
    /// Fetches all bytes of the result.
    void fetch(const std::string& job, uint64_t bytes, const Write& write);
    /// Drops the job and its result from the engine.
    void forget(const std::string& job);
    /// Cancels a job that nobody waits for any more; tries once, and throws nothing.
    void cancel(const std::string& job) noexcept;

private:
    struct Order;
    void submit(const std::string& job, const Order& order, const Read& read);
    /// Sends bytes [offset, total) of a source within the granted credit; returns the engine's message after that.
    Message upload(const std::string& job, uint64_t total, uint64_t offset, const Read& read);

    struct Wire;
    Wire* greet(const char* name, const std::atomic<bool>& stop, const Patience& patience);

    Wire* fWire;

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
};

} // namespace airband
