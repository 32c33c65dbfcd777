#pragma once
#include <string>
#include <vector>

namespace airband {

/// The names that the parameters Preset and Model stand for, by number.
///
/// `airband daw engine` keeps them in plugin-choices.json of the state folder, from what the engine's welcome said, and
/// only ever appends: a number in a project goes on meaning the same.
struct Choices {
    std::vector<std::string> presets{"music"}, models{"auto"};

    /// Reads them; the two first ones where that file is not there, or is not what Airband writes.
    static Choices read();
};

/// The name of a number; a number beyond the list has none: "".
std::string named(const std::vector<std::string>& names, float number);

} // namespace airband
