#pragma once
#include "DistrhoPlugin.hpp"
#include "DistrhoUI.hpp"
#include "Telling.hpp"

#include <functional>
#include <vector>

START_NAMESPACE_DISTRHO

/// A plugin's window: rows from top to bottom, drawn anew when something changed.
///
/// A row that can be clicked notes where it is while it is drawn. What is no parameter is asked of the plugin, which a
/// host may keep in another process: then `telling()` is nullptr, and those rows stay empty.
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
    /// A parameter that takes one of some names: a click on its left or right half goes back or on.
    void choice(const std::string& label, uint32_t parameter, const std::vector<std::string>& names);
    /// The same for the names of a project, of which this machine may lack some: `here` are those it has.
    void choice(const std::string& label, uint32_t parameter, const std::vector<std::string>& names,
        const std::vector<std::string>& here);
    void toggle(const std::string& label, uint32_t parameter);
    void button(const std::string& label, std::function<void()> act);
    /// Why something failed, in the room that is left.
    void problem();

    float value(uint32_t parameter) const;
    Telling* telling() const { return fTelling; }
    const airband::Choices& choices() const { return fChoices; }
    const airband::Choices& here() const { return fHere; }

    void parameterChanged(uint32_t index, float value) override;
    void stateChanged(const char*, const char*) override {} // the plugin tells it
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
    float fTop = 0; // of the next row
    int fIdle = 0;
};

/// "12345 Hz", or what stands for none.
std::string hertz(float value, const char* none);

END_NAMESPACE_DISTRHO
