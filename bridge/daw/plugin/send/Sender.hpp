#pragma once
#include "Keeper.hpp"
#include "Outbox.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

/// Sends the takes of the outbox to the engine, one after the other, on its own thread.
///
/// A take waits for as long as no engine runs, even beyond the end of the host: the next instance sends what is left.
/// The engine itself writes the result. If no engine runs, one is started.
class Sender {
public:
    enum State { kIdle, kSending, kRendering, kSent, kEngineAbsent, kFailed };

    explicit Sender(Outbox& outbox);
    /// Ends within a second, whatever the engine does; undelivered takes stay in the outbox.
    ~Sender();

    void add(const Take& take);

    State state() const { return fState; }
    float progress() const { return fProgress; }
    uint32_t delivered() const { return fDelivered; }
    uint32_t failed() const { return fFailed; }
    /// The cut-off of the last delivered take, in Hz; 0: no take yet, or nothing was missing.
    float cutoffHz() const { return fCutoffHz; }
    /// Why the last take failed or still waits; empty if it was delivered.
    std::string problem() const;

private:
    void run();
    void bring(Take& take);
    void deliver(const Take& take);
    bool nap();
    void tell(State state, const std::string& problem = "");

    Outbox& fOutbox;
    const std::shared_ptr<airband::Keeper> fKeeper = airband::Keeper::shared();
    std::atomic<State> fState{kIdle};
    std::atomic<float> fProgress{0}, fCutoffHz{0};
    std::atomic<uint32_t> fDelivered{0}, fFailed{0};
    std::atomic<bool> fQuit{false};
    mutable std::mutex fMutex;
    std::string fProblem; // under the mutex, like the takes
    std::condition_variable fChanged;
    std::deque<Take> fTakes;
    std::thread fThread;
};
