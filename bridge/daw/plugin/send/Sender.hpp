#pragma once
#include "Client.hpp"
#include "Take.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

/// Brings takes to the engine, one after the other, on a thread of its own.
///
/// A take waits for as long as no engine runs. The engine publishes the result itself, so that it appears also when
/// the plugin is gone by then.
class Sender {
public:
    enum State { kIdle, kSending, kRendering, kSent, kEngineAbsent, kFailed };

    Sender();
    /// Brings the takes that wait to an engine that runs, and does not wait for their results.
    ~Sender();

    void add(std::unique_ptr<Take> take, const airband::Knobs& knobs);

    State state() const { return fState; }
    float progress() const { return fProgress; }
    uint32_t delivered() const { return fDelivered; }

private:
    struct Order {
        std::unique_ptr<Take> take;
        airband::Knobs knobs;
        std::string job, path;
    };

    void run();
    void deliver(const Order& order);
    bool nap();

    std::atomic<State> fState{kIdle};
    std::atomic<float> fProgress{0};
    std::atomic<uint32_t> fDelivered{0};
    std::atomic<bool> fQuit{false}, fAbort{false};
    std::mutex fMutex;
    std::condition_variable fChanged;
    std::deque<Order> fOrders;
    std::thread fThread;
};

/// A new path for a result, in $AIRBAND_SEND_FOLDER or the folder `Airband` below the user's music; it tells when
/// the take was made and at which frame of the transport it begins. The folder is made.
std::string resultPath(const Take& take);
