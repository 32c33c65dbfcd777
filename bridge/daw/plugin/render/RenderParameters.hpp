#pragma once
#include "Parameters.hpp"

START_NAMESPACE_DISTRHO

enum RenderParameter {
    kRestore = kKnobs,
    kOneCutoff,
    kBypass,
    kFreewheel, // LV2 only, where hosts tell through it that they render offline
    kInputs,
    kState = kInputs,
    kRestored,
    kNothingMissing,
    kDry,
    kCutoffFound,
    kParameters
};

/// The values of the parameter Restore; their words are below.
enum RenderMode { kOff, kInBounces, kAlways };

inline std::vector<std::string> renderModes()
{
    return {"Off", "In offline bounces", "Always"};
}

/// The values of the parameter State; their words are below.
enum RenderState { kRealTime, kCollecting, kStateRestored, kEngineAbsent, kFailed, kStateNothingMissing };

inline std::vector<std::string> renderStates()
{
    return {"Real time: dry", "Collecting", "Restored", "Engine absent: dry", "Failed: dry", "Nothing missing"};
}

END_NAMESPACE_DISTRHO
