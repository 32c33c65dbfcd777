#include "Choices.hpp"
#include "Connection.hpp"
#include "System.hpp"

#include <nlohmann/json.hpp>

namespace airband {

Choices Choices::read()
{
    Choices found;
    const std::string file = readText(stateFolder() + "/plugin-choices.json");
    const nlohmann::json told = nlohmann::json::parse(file, nullptr, false);
    try {
        const std::vector<std::string> presets = told.at("presets"), models = told.at("models");
        if (!presets.empty() && !models.empty()) {
            found.presets = presets;
            found.models = models;
        }
    } catch (const nlohmann::json::exception&) { // no engine has been met yet
    }
    return found;
}

std::string named(const std::vector<std::string>& names, float number)
{
    const size_t index = number > 0 ? size_t(number + 0.5f) : 0;
    return index < names.size() ? names[index] : "";
}

} // namespace airband
