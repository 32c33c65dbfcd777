#pragma once
#include "Launcher.hpp"
#include "Parameters.hpp"
#include "ProjectChoices.hpp"
#include "Telling.hpp"

START_NAMESPACE_DISTRHO

/// A plugin that renders through the engine, with the knobs that both plugins share. A project stores the names of its
/// preset and model beside their numbers.
class RenderingPlugin : public Plugin, public Telling {
public:
    explicit RenderingPlugin(uint32_t parameters) : Plugin(parameters, 0, 1) {}

    airband::Choices choices() const override { return fChoices.now(); }

protected:
    void initState(uint32_t, State& state) override
    {
        state.key = "choices";
        state.label = "Names of presets and models";
        state.hints = kStateIsOnlyForDSP;
    }
    String getState(const char*) const override { return String(fChoices.saved().c_str()); }
    void setState(const char*, const char* value) override { fChoices.restore(value); }

    String getParameterText(uint32_t index, float value) const override
    {
        if (index != kPreset && index != kModel)
            return String();
        const airband::Choices all = fChoices.now(), here = airband::Choices::read();
        const std::string name = airband::named(index == kPreset ? all.presets : all.models, value);
        const bool lacks = !name.empty() && here.lacks(index == kPreset ? here.presets : here.models, name);
        return String((lacks ? name + " (not here)" : name).c_str());
    }

    /// Says which choice of the project is missing on this machine; empty if none is.
    std::string lacking(const std::atomic<float>* values) const
    {
        const airband::Choices all = fChoices.now(), here = airband::Choices::read();
        const std::string preset = airband::named(all.presets, values[kPreset]);
        const std::string model = airband::named(all.models, values[kModel]);
        if (!preset.empty() && here.lacks(here.presets, preset))
            return airband::presetMissing(preset);
        if (!model.empty() && here.lacks(here.models, model))
            return "This project's model \"" + model + "\" is not on this machine. Nothing is rendered by another in its "
                "place: install it, or choose one.";
        return "";
    }

    /// $AIRBAND_MODEL replaces the model `auto`.
    airband::Knobs knobsFrom(const std::atomic<float>* values) const
    {
        const airband::Choices all = fChoices.now();
        airband::Knobs knobs;
        knobs.preset = airband::named(all.presets, values[kPreset]);
        knobs.model = airband::named(all.models, values[kModel]);
        if (knobs.model == "auto")
            knobs.model = airband::modelFromEnvironment();
        const float cutoffHz = values[kCutoff];
        knobs.cutoffHz = cutoffHz > 0 ? std::max(cutoffHz, kCutoffMinHz) : 0;
        knobs.seed = uint64_t(values[kSeed] + 0.5f);
        knobs.highGainDb = values[kHighGain];
        return knobs;
    }

private:
    airband::ProjectChoices fChoices;
};

END_NAMESPACE_DISTRHO
