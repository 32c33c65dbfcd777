#pragma once
#include "Choices.hpp"

#include <string>

/// What a plugin tells its panel, beyond its parameters; safe to call from the panel's thread.
class Telling {
public:
    virtual ~Telling() {}

    /// What the numbers of presets and models stand for.
    virtual airband::Choices choices() const = 0;
    /// Why the last thing failed, in words; empty where nothing did.
    virtual std::string problem() const = 0;
    /// The last cut-off found, Hz; 0: none yet.
    virtual float cutoffHz() const = 0;
    /// The folder that results go to; empty where there is none.
    virtual std::string folder() const { return ""; }
    /// Starts an engine where none runs, without waiting for it.
    virtual void meetEngine() = 0;
};
