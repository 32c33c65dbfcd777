#pragma once
#include "Choices.hpp"

#include <string>

/// Information from a plugin for its panel, beyond the parameters; safe to call from the panel's thread.
class Telling {
public:
    virtual ~Telling() {}

    /// The names behind the numbers of presets and models.
    virtual airband::Choices choices() const = 0;
    /// Why the last action failed; empty if it did not.
    virtual std::string problem() const = 0;
    /// The last cut-off found, in Hz; 0: none yet.
    virtual float cutoffHz() const = 0;
    /// The folder for results; empty if there is none.
    virtual std::string folder() const { return ""; }
    /// Starts an engine if none runs, without waiting for it.
    virtual void meetEngine() = 0;
};
