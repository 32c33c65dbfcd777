#pragma once
#include "Parameters.hpp"

START_NAMESPACE_DISTRHO

enum SendParameter {
    kArmed = kKnobs,
    kFollow,
    kInputs,
    kState = kInputs,
    kCaptured,
    kProgress,
    kDelivered,
    kTakesFailed,
    kParameters
};

/// The values of the parameter State; their words are below.
enum SendState { kIdle, kRecording, kSending, kRendering, kSent, kEngineAbsent, kFailed, kFull, kWaiting };

inline std::vector<std::string> sendStates()
{
    return {"Idle", "Recording", "Sending", "Rendering", "Sent", "Engine absent", "Failed", "Folder takes no more",
        "Waits for the transport"};
}

END_NAMESPACE_DISTRHO
