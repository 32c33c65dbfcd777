#pragma once
#include <string>
#include <vector>

namespace airband {

static constexpr size_t kMostChoices = 64; // of presets and of models: a parameter's range must not change later

/// The names behind the numbers of the parameters Preset and Model.
struct Choices {
    std::vector<std::string> presets{"music"}, models{"auto"};

    /// The choices of this machine, or only the first preset and model if no engine has been met yet.
    ///
    /// `airband daw engine` keeps them in plugin-choices.json of the state folder, from the engine's welcome, and only
    /// appends names, so that a number always means the same.
    static Choices read();
    /// Reads them from the content of that file; false if it is not valid.
    bool parse(const std::string& text);
    std::string text() const;
    /// Appends the names in `others` that are missing here.
    void append(const Choices& others);
    /// Whether a name is missing in one of these lists; always false before an engine has been met.
    bool lacks(const std::vector<std::string>& names, const std::string& name) const;
};

/// The name of a number; "" for a number beyond the list.
std::string named(const std::vector<std::string>& names, float number);

} // namespace airband
