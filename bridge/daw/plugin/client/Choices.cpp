#include "Choices.hpp"
#include "Connection.hpp"
#include "System.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace airband {

using nlohmann::json;

static bool holds(const std::vector<std::string>& names, const std::string& name)
{
    return std::find(names.begin(), names.end(), name) != names.end();
}

static void appendMissing(std::vector<std::string>& names, const std::vector<std::string>& others)
{
    for (const std::string& name : others)
        if (names.size() < kMostChoices && !holds(names, name))
            names.push_back(name);
}

Choices Choices::read()
{
    Choices found;
    found.parse(readText(stateFolder() + "/plugin-choices.json"));
    return found;
}

bool Choices::parse(const std::string& text)
{
    try {
        const json told = json::parse(text);
        std::vector<std::string> itsPresets = told.at("presets"), itsModels = told.at("models");
        if (itsPresets.empty() || itsModels.empty())
            return false;
        itsPresets.resize(std::min(itsPresets.size(), kMostChoices));
        itsModels.resize(std::min(itsModels.size(), kMostChoices));
        presets = itsPresets;
        models = itsModels;
        return true;
    } catch (const json::exception&) {
        return false;
    }
}

std::string Choices::text() const
{
    return json({{"presets", presets}, {"models", models}}).dump(-1, ' ', true, json::error_handler_t::replace);
}

void Choices::append(const Choices& others)
{
    appendMissing(presets, others.presets);
    appendMissing(models, others.models);
}

bool Choices::lacks(const std::vector<std::string>& names, const std::string& name) const
{
    const bool met = presets.size() > 1 || models.size() > 1;
    return met && !holds(names, name);
}

std::string named(const std::vector<std::string>& names, float number)
{
    const size_t index = number > 0 ? size_t(number + 0.5f) : 0;
    return index < names.size() ? names[index] : "";
}

} // namespace airband
