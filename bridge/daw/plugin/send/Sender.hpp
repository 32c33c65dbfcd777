#pragma once
#include "Outbox.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

/// Brings the takes of the outbox to the engine, one after the other, on a thread of its own.
///
/// A take waits for as long as no engine runs, also beyond the end of the host: the next instance brings what is left.
/// The engine publishes the result itself.
class Sender {
public:
    enum State { kIdle, kSending, kRendering, kSent, kEngineAbsent, kFailed };

    explicit Sender(Outbox& outbox);
    /// Ends within a second, whatever the engine does; what was not delivered waits in the outbox.
    ~Sender();

    void add(const Take& take);

    State state() const { return fState; }
    float progress() const { return fProgress; }
    uint32_t delivered() const { return fDelivered; }
    uint32_t failed() const { return fFailed; }

private:
    void run();
    void bring(Take& take);
    void deliver(const Take& take);
    bool nap();

    Outbox& fOutbox;
    std::atomic<State> fState{kIdle};
    std::atomic<float> fProgress{0};
    std::atomic<uint32_t> fDelivered{0}, fFailed{0};
    std::atomic<bool> fQuit{false};
    std::mutex fMutex;
    std::condition_variable fChanged;
    std::deque<Take> fTakes;
    std::thread fThread;
};
