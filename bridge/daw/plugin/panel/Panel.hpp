#pragma once
#include "DistrhoPlugin.hpp"
#include "DistrhoUI.hpp"
#include "Telling.hpp"

#include <functional>
#include <vector>

START_NAMESPACE_DISTRHO

/// A plugin's window: rows from top to bottom, redrawn when something changed.
///
/// A clickable row records its place while it is drawn. What is not a parameter is requested from the plugin, which a
/// host may run in another process: then `telling()` is nullptr, and those rows stay empty.
class Panel : public UI {
public:
    explicit Panel(const char* title);

protected:
    enum Mood { kQuiet, kAtWork, kWell, kBad };

    /// Draws the rows.
    virtual void rows() = 0;

    void state(const std::string& words, Mood mood);
    void progress(float share);
    void said(const std::string& label, const std::string& value);
    /// A parameter with named values: a click on its left or right half selects the previous or next one.
    void choice(const std::string& label, uint32_t parameter, const std::vector<std::string>& names);
    /// The same for names in a project, some of which this machine may lack: `here` are those it has.
    void choice(const std::string& label, uint32_t parameter, const std::vector<std::string>& names,
        const std::vector<std::string>& here);
    void toggle(const std::string& label, uint32_t parameter);
    void button(const std::string& label, std::function<void()> act);
    /// Why something failed, in the remaining space.
    void problem();

    float value(uint32_t parameter) const;
    Telling* telling() const { return fTelling; }
    const airband::Choices& choices() const { return fChoices; }
    const airband::Choices& here() const { return fHere; }

    void parameterChanged(uint32_t index, float value) override;
    void stateChanged(const char*, const char*) override {} // the panel asks the plugin instead
    void uiIdle() override;
    void onNanoDisplay() override;
    bool onMouse(const MouseEvent& event) override;

private:
    struct Place {
        float left, top, width, height;
        std::function<void()> act;
    };

    void place(float left, float width, std::function<void()> act);
    void label(const std::string& text);
    void look();
    void set(uint32_t parameter, float value);

    const char* const fTitle;
    Telling* const fTelling;
    airband::Choices fChoices, fHere;
    std::vector<float> fValues;
    std::vector<Place> fPlaces;
    std::string fProblem;
    float fTop = 0; // y of the next row
    int fIdle = 0;
};

/// "12345 Hz", or the text `none` for no frequency.
std::string hertz(float value, const char* none);

END_NAMESPACE_DISTRHO
