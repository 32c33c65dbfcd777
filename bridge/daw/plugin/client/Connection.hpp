#pragma once
#include <stdexcept>
#include <string>

namespace airband {

/// No engine answers: none runs, it ended, or it went silent. `none`: nothing listens, so one may be started.
struct EngineAbsent : std::runtime_error {
    explicit EngineAbsent(const std::string& why, bool none_ = false) : std::runtime_error(why), none(none_) {}

    const bool none;
};

/// The engine cannot or will not do what was asked. `code` is an error code of presets/errors.py, or empty.
struct Refused : std::runtime_error {
    explicit Refused(const std::string& why, const std::string& code_ = "") : std::runtime_error(why), code(code_) {}

    const std::string code;
};

/// The content of the engine's connection file (bridge/wire/home.py writes it). The keys are empty over ipc.
struct Connection {
    std::string endpoint;
    std::string serverKey, publicKey, secretKey;
};

/// The engine's state folder, which holds the connection file: that of $AIRBAND_CONNECTION, or the user's.
std::string stateFolder();

/// Reads the connection file: $AIRBAND_CONNECTION, or engine.json in the user's state folder.
///
/// Throws EngineAbsent if it does not exist, Refused if others could have written it. Only the socket tells whether the
/// engine still lives: process numbers mean nothing across the sandboxes that some hosts run in.
Connection readConnection();

} // namespace airband
