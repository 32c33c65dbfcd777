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

/// Sends and receives frames, with timeouts; the socket's monitor tells whether an engine is at the other end.
struct Client::Wire {
    Wire(const Connection& connection, const std::atomic<bool>& stop, const Patience& patience);
    ~Wire();

    void say(const Header& header, const void* buffer = nullptr, size_t bytes = 0);
    /// The next message about `job` ("": about none). Throws the content of an `error` or `closing`.
    Message hear(const std::string& job);
    /// Waits so long, or until `stop` is set.
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

/// The model for `asked`; for `auto`, the choice of bridge/client/model_choice.py.
std::string chooseModel(const std::string& asked, const Header& models);

} // namespace airband
