#pragma once
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace airband {

// How plugins start the engine. The contract is one command, `airband daw engine`: it starts an engine where none runs,
// under the lock that every client takes for that (start.lock in the state folder), waits until it can be reached, and
// says in one line of JSON what it offers: {"models": [names], "presets": {name: knobs}}. The command is
// $AIRBAND_COMMAND, or what airband-command.txt in the state folder names (`airband daw install plugin` writes it), or
// `airband` on the PATH.

/// Whether plugins may start an engine: $AIRBAND_START is not 0.
bool mayLaunch();

/// Runs the command and waits for it, at most 60 s; what the engine offers.
///
/// One instance in a process runs it at a time, and after a failure none does for 30 s. Throws EngineAbsent with what
/// the command said, Client::Stopped once `stop` is set.
nlohmann::json launch(const std::atomic<bool>& stop);

/// Why a preset cannot be had, and what to do.
std::string presetMissing(const std::string& name);

/// The knobs of a preset, read anew once a minute; starts an engine where none runs. Throws Refused for a name that is
/// unknown here or a preset that does not parse; and as `launch` does.
nlohmann::json presetNamed(const std::string& name, const std::atomic<bool>& stop);

} // namespace airband
