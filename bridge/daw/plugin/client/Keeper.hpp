#pragma once
#include "Context.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace airband {

/// Keeps an engine that plugins have used: says a word to it from time to time, for an engine that a client started
/// leaves after 15 minutes without any. One that has ended is not started again before somebody needs it.
class Keeper {
public:
    /// `everyS`: how often it says something, seconds.
    explicit Keeper(double everyS);
    /// Ends within a second.
    ~Keeper();

    /// The keeper that all instances of a plugin in this process share, for as long as one holds it.
    static std::shared_ptr<Keeper> shared();

    /// The engine has been used, and is to be kept from now on.
    void keep();
    /// Starts an engine where none runs and where that is allowed, without waiting for it; for a panel that was opened.
    void meet();
    /// Why the engine could not be met; empty where it was.
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
