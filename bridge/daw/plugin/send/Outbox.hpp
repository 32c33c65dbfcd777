#pragma once
#include "Take.hpp"
#include "System.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// The folder that takes wait in and results come to: $AIRBAND_SEND_FOLDER, or `Airband` below the user's music.
///
/// Takes wait in its folder `waiting`, each with the name of the instance that captured it; an instance locks a file
/// there for as long as it lives. What waits under a name that nobody locks was left by a host that ended, and is
/// adopted by the next instance. Results and what failed lie in the folder itself. Safe for two threads.
class Outbox {
public:
    Outbox();
    ~Outbox();

    /// Reserves a name, and begins a take under it. nullptr where the folder takes no more: full, or not writable.
    std::unique_ptr<Capture> begin(uint32_t rate, int64_t position, const std::string& track,
        const airband::Knobs& knobs);
    /// Whether a take under way may go on: the folder is not full.
    bool takesMore();
    /// Why the folder takes no more; empty where it does.
    std::string problem();
    /// Lets a finished take wait, or drops one without a sample; false then.
    bool keep(const Take& take);
    /// The takes left by instances that have ended.
    std::vector<Take> adopt();

    /// The folder of results.
    const std::string& folder() const { return fFolder; }
    /// Where a waiting take's samples are, and where its result goes.
    std::string capturePath(const Take& take) const { return fWaiting + "/" + take.name + ".wav"; }
    std::string resultPath(const Take& take) const { return fFolder + "/" + take.name + ".wav"; }

    /// A take has its result: its samples go.
    void deliver(const Take& take);
    /// A take cannot be rendered: its samples move beside the results, with a line of why.
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
    std::vector<std::pair<std::string, airband::File>> fAdopted; // instances and their locks
};
