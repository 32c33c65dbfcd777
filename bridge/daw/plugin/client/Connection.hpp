#pragma once
#include <stdexcept>
#include <string>

namespace airband {

/// No engine answers: none runs, it ended, or it fell silent.
struct EngineAbsent : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The engine answered that it cannot or will not.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What the engine's connection file says (bridge/wire/home.py writes it). The keys are empty over ipc.
struct Connection {
    std::string endpoint;
    int pid;
    std::string serverKey, publicKey, secretKey;

    /// Whether the engine's process still lives.
    bool alive() const;
};

/// Reads the connection file: $AIRBAND_CONNECTION, or engine.json in the user's runtime folder.
///
/// Throws EngineAbsent when it is not there or its engine has ended, Refused when others could have written it.
Connection readConnection();

} // namespace airband
