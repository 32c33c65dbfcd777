#pragma once
#include "Choices.hpp"
#include "Client.hpp"
#include "DistrhoPlugin.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

START_NAMESPACE_DISTRHO

/// The parameters of a render that both plugins offer; the names are those of presets/schema.py.
enum Knob { kPreset, kModel, kCutoff, kSeed, kHighGain, kKnobs };

static constexpr float kCutoffMinHz = 1000, kCutoffMaxHz = 23000;

inline void describe(Parameter& parameter, const char* name, const char* symbol, float least, float most, float preset)
{
    parameter.name = name;
    parameter.symbol = symbol;
    parameter.ranges.min = least;
    parameter.ranges.max = most;
    parameter.ranges.def = preset;
}

/// A parameter with the values `words`.
inline void describeChoice(Parameter& parameter, const char* name, const char* symbol,
    const std::vector<std::string>& words, float preset)
{
    describe(parameter, name, symbol, 0, float(words.size() - 1), preset);
    parameter.hints = kParameterIsAutomatable | kParameterIsInteger;
    parameter.enumValues.count = uint8_t(words.size());
    parameter.enumValues.restrictedMode = true;
    parameter.enumValues.values = new ParameterEnumerationValue[words.size()]; // the framework deletes it
    float value = 0;
    for (const std::string& word : words) {
        parameter.enumValues.values[size_t(value)].label = word.c_str();
        parameter.enumValues.values[size_t(value)].value = value;
        value += 1;
    }
}

/// A parameter that selects one of several names, to which more may be added.
inline void describeNames(
    Parameter& parameter, const char* name, const char* symbol, const std::vector<std::string>& names)
{
    describeChoice(parameter, name, symbol, names, 0);
    parameter.enumValues.restrictedMode = false;
    parameter.ranges.max = airband::kMostChoices - 1;
}

inline void describeKnob(Knob knob, Parameter& parameter, const airband::Choices& choices)
{
    parameter.hints = kParameterIsAutomatable;
    switch (knob) {
    case kPreset:
        return describeNames(parameter, "Preset", "preset", choices.presets);
    case kModel:
        return describeNames(parameter, "Model", "model", choices.models);
    case kCutoff:
        describe(parameter, "Cutoff", "cutoff", 0, kCutoffMaxHz, 0);
        parameter.unit = "Hz";
        parameter.description = "Where the original band ends; 0: as the preset says, usually found in the spectrum";
        break;
    case kSeed:
        describe(parameter, "Seed", "seed", 0, 9999, 0);
        parameter.hints |= kParameterIsInteger;
        break;
    case kHighGain:
        describe(parameter, "High gain", "high_gain", -24, 24, 0);
        parameter.unit = "dB";
        break;
    case kKnobs:
        break;
    }
}

inline void describeSwitch(Parameter& parameter, const char* name, const char* symbol)
{
    describe(parameter, name, symbol, 0, 1, 0);
    parameter.hints = kParameterIsAutomatable | kParameterIsBoolean;
}

/// An output parameter that shows the plugin's state by one of `words`.
inline void describeState(Parameter& parameter, const std::vector<std::string>& words)
{
    describeChoice(parameter, "State", "state", words, 0);
    parameter.hints = kParameterIsOutput | kParameterIsInteger;
}

/// An output parameter with a count.
inline void describeCount(Parameter& parameter, const char* name, const char* symbol)
{
    describe(parameter, name, symbol, 0, 100000, 0);
    parameter.hints = kParameterIsOutput | kParameterIsInteger;
}

END_NAMESPACE_DISTRHO
