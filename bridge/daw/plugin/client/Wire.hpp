#pragma once
#include "Client.hpp"
#include "Context.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

namespace airband {

using Header = nlohmann::json;

struct Message {
    Header header;
    std::vector<char> buffer;

    std::string type() const { return header.value("type", ""); }
};

/// Frames and time: messages over the socket, whose monitor tells whether an engine is at the other end.
struct Client::Wire {
    Wire(const Connection& connection, const std::atomic<bool>& stop, const Patience& patience);
    ~Wire();

    void say(const Header& header, const void* buffer = nullptr, size_t bytes = 0);
    /// The next message about `job` ("": about none). Throws what an `error` or `closing` says.
    Message hear(const std::string& job);
    /// Waits, but not beyond a stop.
    void pause(double seconds) const;

    Header models;
    const std::atomic<bool>& stop;

private:
    bool receive(Message& message);
    void send(const void* bytes, size_t count, int flags);
    void readMonitor();
    void close();

    const Patience fPatience;
    const std::chrono::steady_clock::time_point fBegan = std::chrono::steady_clock::now();
    const std::shared_ptr<void> fContext = sharedContext();
    void* fSocket;
    void* fMonitor;
};

/// The model that `asked` stands for, with the choice of bridge/client/model_choice.py for `auto`.
std::string chooseModel(const std::string& asked, const Header& models);

} // namespace airband
