#pragma once
#include <string>
#include <vector>

namespace airband {

static constexpr size_t kMostChoices = 64; // of presets and of models: a range that stays whatever is installed

/// Names that the parameters Preset and Model stand for, by number.
struct Choices {
    std::vector<std::string> presets{"music"}, models{"auto"};

    /// Those of this machine, or the two first ones where no engine has been met yet.
    ///
    /// `airband daw engine` keeps them in plugin-choices.json of the state folder, from what the engine's welcome said,
    /// and only ever appends: a number goes on meaning the same.
    static Choices read();
    /// Those that a text holds, as that file has them; false where it is no such text.
    bool parse(const std::string& text);
    std::string text() const;
    /// Adds those names of others that are missing, at the end.
    void append(const Choices& others);
    /// Whether a name is missing in one of these lists; before an engine has been met, none is.
    bool lacks(const std::vector<std::string>& names, const std::string& name) const;
};

/// The name of a number; a number beyond the list has none: "".
std::string named(const std::vector<std::string>& names, float number);

} // namespace airband
