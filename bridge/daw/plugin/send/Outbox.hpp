#pragma once
#include "Take.hpp"
#include "System.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// The folder in which takes wait and results appear: $AIRBAND_SEND_FOLDER, or `Airband` in the user's music folder.
///
/// Takes wait in its folder `waiting`, named after the instance that captured them; an instance locks a file there for
/// as long as it lives. Takes of an instance without a lock were left by a host that ended, and are adopted by the next
/// instance. Results and failed takes lie in the folder itself. Safe for two threads.
class Outbox {
public:
    Outbox();
    ~Outbox();

    /// Reserves a name, and begins a take under it. nullptr if the folder is full or not writable.
    std::unique_ptr<Capture> begin(uint32_t rate, int64_t position, const std::string& track,
        const airband::Knobs& knobs);
    /// Whether a take may be continued: the folder is not full.
    bool takesMore();
    /// Why the folder accepts no more takes; empty if it does.
    std::string problem();
    /// Queues a finished take; drops one without samples, and then returns false.
    bool keep(const Take& take);
    /// Adopts and returns the takes of instances that have ended.
    std::vector<Take> adopt();

    /// The folder for results.
    const std::string& folder() const { return fFolder; }
    /// The file of a waiting take, and the path for its result.
    std::string capturePath(const Take& take) const { return fWaiting + "/" + take.name + ".wav"; }
    std::string resultPath(const Take& take) const { return fFolder + "/" + take.name + ".wav"; }

    /// Called when a take has its result: deletes its samples.
    void deliver(const Take& take);
    /// Called when a take cannot be rendered: moves its samples to the results, with a line that says why.
    void fail(const Take& take, const std::string& why);

private:
    std::string describedPath(const Take& take) const { return fWaiting + "/" + take.name + ".json"; }
    airband::File lock(const std::string& instance) const;
    bool hasRoom();

    const std::string fFolder, fWaiting, fInstance;
    std::mutex fMutex;
    std::string fProblem; // under the mutex, like the rest
    airband::File fLock;
    uint32_t fCount = 0;
    std::vector<std::pair<std::string, airband::File>> fAdopted; // instances, with their locks
};
