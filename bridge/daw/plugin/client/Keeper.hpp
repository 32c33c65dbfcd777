#pragma once
#include "Context.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace airband {

/// Keeps an engine alive that plugins have used, by a message from time to time: an engine that a client started exits
/// after 15 minutes without one. An engine that has ended is not started again before somebody needs it.
class Keeper {
public:
    /// `everyS`: seconds between messages.
    explicit Keeper(double everyS);
    /// Ends within a second.
    ~Keeper();

    /// The keeper that all plugin instances of this process share, alive as long as one of them holds it.
    static std::shared_ptr<Keeper> shared();

    /// Notes that the engine was used, so that it is kept alive from now on.
    void keep();
    /// Starts an engine if none runs and that is allowed, without waiting for it; for a panel that was opened.
    void meet();
    /// Why the engine could not be reached; empty if it was.
    std::string problem() const;

private:
    void run();

    const std::shared_ptr<void> fContext = sharedContext();
    const double fEveryS;
    std::atomic<bool> fKeeps{false}, fMeets{false}, fQuit{false};
    mutable std::mutex fMutex;
    std::string fProblem; // under the mutex
    std::condition_variable fChanged;
    std::thread fThread;
};

} // namespace airband
