// Airband Send: passes sound through. While it is armed it sends the sound to the engine, and the result appears in a
// folder. The audio thread only copies (Recorder); writing and sending happen on other threads.
#include "Recorder.hpp"
#include "RenderingPlugin.hpp"
#include "SendParameters.hpp"
#include "Sender.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

START_NAMESPACE_DISTRHO

/// The path of a take: from the recorder through the outbox to the engine.
struct Path {
    Path(Recorder::Tell knobs, Recorder::Track track)
        : sender(outbox), recorder(outbox, knobs, track, [this](const Take& take) { sender.add(take); })
    {
    }

    const std::shared_ptr<airband::Keeper> keeper = airband::Keeper::shared();
    Outbox outbox;
    Sender sender;
    Recorder recorder; // destroyed first, when it passes its last take to the sender
};

class Send : public RenderingPlugin {
public:
    Send() : RenderingPlugin(kParameters)
    {
        if (!isDummyInstance()) // a dummy only describes the plugin to the host
            fPath.reset(new Path(
                [this] { return knobsFrom(fValues); }, [this] { return std::string(getTrackName().buffer()); }));
    }

protected:
    const char* getLabel() const override { return Take::kChannels == 1 ? "AirbandSendMono" : "AirbandSend"; }
    const char* getDescription() const override { return "Sends what passes while armed to the Airband engine"; }
    const char* getMaker() const override { return "Airband"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(0, 3, 0); }
    int64_t getUniqueId() const override { return d_cconst('A', 'b', 'S', Take::kChannels == 1 ? 'm' : 'n'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        switch (index) {
        case kArmed:
            return describeSwitch(parameter, "Armed", "armed");
        case kFollow:
            return describeSwitch(parameter, "Follow transport", "follow");
        case kState:
            return describeState(parameter, sendStates());
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
            return describeCount(parameter, "Delivered", "delivered");
        case kTakesFailed:
            return describeCount(parameter, "Takes failed", "takes_failed");
        default:
            return describeKnob(Knob(index), parameter, choices());
        }
    }

    float getParameterValue(uint32_t index) const override
    {
        if (index >= kInputs && !fPath)
            return 0;
        switch (index) {
        case kState:
            return float(state());
        case kCaptured:
            return fPath->recorder.seconds();
        case kProgress:
            return fPath->sender.progress();
        case kDelivered:
            return float(fPath->sender.delivered());
        case kTakesFailed:
            return float(fPath->sender.failed());
        default:
            return fValues[index];
        }
    }

    std::string problem() const override
    {
        if (!fPath)
            return "";
        const std::string problem = fPath->recorder.full() ? fPath->outbox.problem() : fPath->sender.problem();
        const std::string lack = problem.empty() ? lacking(fValues) : problem;
        return lack.empty() ? fPath->keeper->problem() : lack;
    }
    float cutoffHz() const override { return fPath ? fPath->sender.cutoffHz() : 0; }
    std::string folder() const override { return fPath ? fPath->outbox.folder() : ""; }
    void meetEngine() override
    {
        if (fPath)
            fPath->keeper->meet();
    }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index < kInputs)
            fValues[index] = value;
    }

    void deactivate() override
    {
        if (fPath)
            fPath->recorder.end();
    }

    void run(const float** in, float** out, uint32_t frames) override
    {
        record(in, frames);
        for (uint32_t channel = 0; channel < Take::kChannels; ++channel)
            if (in[channel] != out[channel])
                std::memcpy(out[channel], in[channel], frames * sizeof(float));
    }

private:
    void record(const float** in, uint32_t frames)
    {
        if (!fPath)
            return;
        const TimePosition& transport = getTimePosition();
        const bool armed = fValues[kArmed] > 0.5f, follows = fValues[kFollow] > 0.5f;
        if (!fRan)
            fWaits = armed; // restored with the project: the user has not armed it in this session
        fRan = true;
        fWaits = fWaits && armed && !transport.playing;
        const bool wanted = armed && !fWaits && (!follows || transport.playing);
        if (!wanted || jumped(transport))
            fPath->recorder.end();
        if (wanted && !fPath->recorder.recording())
            fPath->recorder.begin(getSampleRate(), transport.playing ? std::max<int64_t>(int64_t(transport.frame), -1) : -1);
        fRolled = transport.playing;
        fFrame = transport.frame;
        fFrames = frames;
        fPath->recorder.write(in, frames);
    }

    /// Whether the transport has started, looped, jumped, or left a count-in since the last block. A take has one
    /// position, which a file can store only from frame 0 on. At varispeed the transport moves by more or fewer frames
    /// than a block has, equally in each block, so this shows only in the second block.
    bool jumped(const TimePosition& transport)
    {
        const double moved = double(int64_t(transport.frame - fFrame)); // also before frame 0, where frames wrap around
        const double frames = double(fFrames);
        if (!transport.playing || (fRolled && moved == 0)) // some hosts play without reporting a position
            return false;
        const bool usual = std::abs(moved - frames) <= kJumpFrames;
        const bool steady = fSpeed > 0 && std::abs(moved - fSpeed * frames) <= kJumpFrames;
        fSpeed = usual ? 1 : moved > 0 && moved <= kFastest * frames ? moved / frames : 0;
        const bool countedIn = int64_t(fFrame) < 0 && int64_t(transport.frame) >= 0;
        return !fRolled || countedIn || !(usual || steady);
    }

    SendState state() const
    {
        if (fPath->recorder.full())
            return kFull;
        if (fPath->recorder.recording())
            return kRecording;
        if (fWaits)
            return kWaiting;
        switch (fPath->sender.state()) {
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

    static constexpr double kJumpFrames = 16; // hosts that report seconds can be a frame off
    static constexpr double kFastest = 4;     // upper limit of varispeed in any host

    std::atomic<float> fValues[kInputs] = {};
    std::atomic<bool> fWaits{false};
    bool fRan = false, fRolled = false; // audio thread, like the next
    uint64_t fFrame = 0;                // transport position in the last block
    uint32_t fFrames = 0;               // length of the last block
    double fSpeed = 0;                  // speed of the transport in the last block; 0: it jumped
    std::unique_ptr<Path> fPath;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(Send)
};

Plugin* createPlugin()
{
    return new Send();
}

END_NAMESPACE_DISTRHO
