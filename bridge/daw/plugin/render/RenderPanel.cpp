// The window of Airband Render.
#include "Panel.hpp"
#include "RenderParameters.hpp"

START_NAMESPACE_DISTRHO

class RenderPanel : public Panel {
public:
    RenderPanel() : Panel(DISTRHO_PLUGIN_NAME) {}

protected:
    void rows() override
    {
        const RenderState now = RenderState(int(value(kState) + 0.5f));
        const bool bad = now == kEngineAbsent || now == kFailed;
        state(renderStates()[size_t(now)], bad ? kBad : now == kRealTime ? kQuiet : now == kCollecting ? kAtWork : kWell);
        choice("Restore", kRestore, renderModes());
        choice("Preset", kPreset, choices().presets, here().presets);
        choice("Model", kModel, choices().models, here().models);
        toggle("One cut-off", kOneCutoff);
        said("Cut-off found", hertz(value(kCutoffFound), "-"));
        said("Windows", std::to_string(int(value(kRestored))) + " restored, "
                + std::to_string(int(value(kNothingMissing))) + " whole, " + std::to_string(int(value(kDry))) + " dry");
        problem();
    }
};

UI* createUI()
{
    return new RenderPanel();
}

END_NAMESPACE_DISTRHO
