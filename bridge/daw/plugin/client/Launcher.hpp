#pragma once
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace airband {

// How plugins start the engine: they run one command, `airband daw engine`. It starts an engine if none runs, under the
// lock that every client uses for that (start.lock in the state folder), waits until it can be reached, and prints its
// offer as one line of JSON: {"models": [names], "presets": {name: knobs}}. The command is $AIRBAND_COMMAND, or the
// path in airband-command.txt of the state folder (`airband daw install plugin` writes it), or `airband` on the PATH.

/// Whether plugins may start an engine: unless $AIRBAND_START is 0.
bool mayLaunch();

/// Runs the command, waits at most 60 s for it, and returns the engine's offer.
///
/// One instance per process runs it at a time, and after a failure none does for 30 s. Throws EngineAbsent with the
/// command's error, Client::Stopped once `stop` is set.
nlohmann::json launch(const std::atomic<bool>& stop);

/// Why a preset is not available, and what to do.
std::string presetMissing(const std::string& name);

/// The knobs of a preset, refreshed every minute; starts an engine if none runs. Throws Refused for a name that is
/// unknown here or a preset that does not parse; otherwise as `launch` does.
nlohmann::json presetNamed(const std::string& name, const std::atomic<bool>& stop);

} // namespace airband
