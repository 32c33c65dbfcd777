// The window of Airband Send.
#include "Command.hpp"
#include "Panel.hpp"
#include "SendParameters.hpp"
#include "System.hpp"

#include <cstdio>

START_NAMESPACE_DISTRHO

class SendPanel : public Panel {
public:
    SendPanel() : Panel(DISTRHO_PLUGIN_NAME) {}

protected:
    void rows() override
    {
        const SendState now = SendState(int(value(kState) + 0.5f));
        state(words(now), mood(now));
        progress(now == kRendering || now == kSent ? value(kProgress) : 0);
        toggle("Armed", kArmed);
        toggle("Follow transport", kFollow);
        choice("Preset", kPreset, choices().presets, here().presets);
        choice("Model", kModel, choices().models, here().models);
        said("Cut-off found", hertz(telling() != nullptr ? telling()->cutoffHz() : 0, "-"));
        said("Takes", std::to_string(int(value(kDelivered))) + " came back, " + std::to_string(int(value(kTakesFailed)))
                + " failed");
        if (telling() != nullptr && !telling()->folder().empty())
            button("Open the folder of results", [this] {
                airband::makeFolders(telling()->folder()); // it does not exist before the first take
                airband::showFolder(telling()->folder());
            });
        problem();
    }

private:
    std::string words(SendState now) const
    {
        if (now != kRecording)
            return sendStates()[size_t(now)];
        char text[32];
        std::snprintf(text, sizeof text, "Recording, %.1f s", double(value(kCaptured)));
        return text;
    }

    static Mood mood(SendState now)
    {
        switch (now) {
        case kRecording:
        case kSending:
        case kRendering:
            return kAtWork;
        case kSent:
            return kWell;
        case kEngineAbsent:
        case kFailed:
        case kFull:
            return kBad;
        case kIdle:
        case kWaiting:
            break;
        }
        return kQuiet;
    }
};

UI* createUI()
{
    return new SendPanel();
}

END_NAMESPACE_DISTRHO
