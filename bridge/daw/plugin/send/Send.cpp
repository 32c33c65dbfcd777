// Airband Send: passes sound through; what passes while it is armed goes to the engine, and the result appears in a
// folder. The audio thread only copies (Recorder); writing and sending happen on threads of their own.
#include "Parameters.hpp"
#include "Recorder.hpp"
#include "Sender.hpp"

#include <cstring>

START_NAMESPACE_DISTRHO

class Send : public Plugin {
    enum { kArmed = kKnobs, kFollow, kInputs, kState = kInputs, kCaptured, kProgress, kDelivered, kParameters };
    enum State { kIdle, kRecording, kSending, kRendering, kSent, kEngineAbsent, kFailed, kOverrun };

public:
    Send() : Plugin(kParameters, 0, 0), fRecorder([this](std::unique_ptr<Take> take) {
        fSender.add(std::move(take), knobsFrom(fValues));
    })
    {
    }

protected:
    const char* getLabel() const override { return "AirbandSend"; }
    const char* getDescription() const override { return "Sends what passes while armed to the Airband engine"; }
    const char* getMaker() const override { return "Airband"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(0, 1, 0); }
    int64_t getUniqueId() const override { return d_cconst('A', 'b', 'S', 'n'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        switch (index) {
        case kArmed:
            return describeSwitch(parameter, "Armed", "armed");
        case kFollow:
            return describeSwitch(parameter, "Follow transport", "follow");
        case kState:
            return describeState(parameter,
                {"Idle", "Recording", "Sending", "Rendering", "Sent", "Engine absent", "Failed", "Overrun"});
        case kCaptured:
            describe(parameter, "Captured", "captured", 0, 86400, 0);
            parameter.unit = "s";
            parameter.hints = kParameterIsOutput;
            return;
        case kProgress:
            describe(parameter, "Progress", "progress", 0, 1, 0);
            parameter.hints = kParameterIsOutput;
            return;
        case kDelivered:
            describe(parameter, "Delivered", "delivered", 0, 10000, 0);
            parameter.hints = kParameterIsOutput | kParameterIsInteger;
            return;
        default:
            return describeKnob(Knob(index), parameter);
        }
    }

    float getParameterValue(uint32_t index) const override
    {
        switch (index) {
        case kState:
            return float(state());
        case kCaptured:
            return fRecorder.seconds();
        case kProgress:
            return fSender.progress();
        case kDelivered:
            return float(fSender.delivered());
        default:
            return fValues[index];
        }
    }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index < kInputs)
            fValues[index] = value;
    }

    void deactivate() override { fRecorder.end(); }

    void run(const float** in, float** out, uint32_t frames) override
    {
        const TimePosition& transport = getTimePosition();
        const bool wanted = fValues[kArmed] > 0.5f && (fValues[kFollow] < 0.5f || transport.playing);
        if (wanted && !fRecorder.recording())
            fRecorder.begin(getSampleRate(), transport.playing ? int64_t(transport.frame) : -1);
        if (!wanted)
            fRecorder.end();
        else
            fRecorder.write(in, frames);
        for (uint32_t channel = 0; channel < Take::kChannels; ++channel)
            if (in[channel] != out[channel])
                std::memcpy(out[channel], in[channel], frames * sizeof(float));
    }

private:
    State state() const
    {
        if (fRecorder.overrun())
            return kOverrun;
        if (fRecorder.recording())
            return kRecording;
        switch (fSender.state()) {
        case Sender::kSending:
            return kSending;
        case Sender::kRendering:
            return kRendering;
        case Sender::kSent:
            return kSent;
        case Sender::kEngineAbsent:
            return kEngineAbsent;
        case Sender::kFailed:
            return kFailed;
        case Sender::kIdle:
            break;
        }
        return kIdle;
    }

    std::atomic<float> fValues[kInputs] = {};
    Sender fSender;
    Recorder fRecorder; // ends first, and hands its last take to the sender

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(Send)
};

Plugin* createPlugin()
{
    return new Send();
}

END_NAMESPACE_DISTRHO
