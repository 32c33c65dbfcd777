#pragma once
#include <stdexcept>
#include <string>

namespace airband {

/// No engine answers: none runs, it ended, or it fell silent. `none`: nobody listens, so that one may be started.
struct EngineAbsent : std::runtime_error {
    explicit EngineAbsent(const std::string& why, bool none_ = false) : std::runtime_error(why), none(none_) {}

    const bool none;
};

/// The engine answered that it cannot or will not. `code` is one of presets/errors.py, or empty.
struct Refused : std::runtime_error {
    explicit Refused(const std::string& why, const std::string& code_ = "") : std::runtime_error(why), code(code_) {}

    const std::string code;
};

/// What the engine's connection file says (bridge/wire/home.py writes it). The keys are empty over ipc.
struct Connection {
    std::string endpoint;
    std::string serverKey, publicKey, secretKey;
};

/// The engine's state folder, in which the connection file lies: $AIRBAND_CONNECTION's, or the user's.
std::string stateFolder();

/// Reads the connection file: $AIRBAND_CONNECTION, or engine.json in the user's state folder.
///
/// Throws EngineAbsent when it is not there, Refused when others could have written it. Whether the engine still lives
/// shows at its socket alone: process numbers mean nothing across the sandboxes that some hosts run in.
Connection readConnection();

} // namespace airband
