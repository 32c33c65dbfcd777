#include "Panel.hpp"

#include <cmath>

START_NAMESPACE_DISTRHO

static constexpr float kMargin = 16, kRow = 26, kLabel = 120, kText = 14;
static constexpr int kIdlesBetweenLooks = 15; // hosts call the idle function some 30 to 60 times a second

namespace {

const Color kGround(24, 27, 32), kField(43, 48, 56), kInk(226, 230, 235), kFaint(140, 148, 160);

Color colour(int mood)
{
    static const Color colours[] = {Color(140, 148, 160), Color(240, 180, 70), Color(96, 196, 128), Color(232, 92, 84)};
    return colours[mood];
}

Telling* tellingOf(void* instance)
{
    return instance == nullptr ? nullptr : dynamic_cast<Telling*>(static_cast<Plugin*>(instance));
}

} // namespace

Panel::Panel(const char* title)
    : UI(DISTRHO_UI_DEFAULT_WIDTH, DISTRHO_UI_DEFAULT_HEIGHT, true), // true: the framework scales it to the screen
      fTitle(title),
      fTelling(tellingOf(getPluginInstancePointer()))
{
    loadSharedResources();
    look();
    if (fTelling != nullptr)
        fTelling->meetEngine();
}

float Panel::value(uint32_t parameter) const
{
    return parameter < fValues.size() ? fValues[parameter] : 0;
}

void Panel::parameterChanged(uint32_t index, float value)
{
    if (index >= fValues.size())
        fValues.resize(index + 1, 0.f);
    if (fValues[index] == value)
        return;
    fValues[index] = value;
    repaint();
}

void Panel::set(uint32_t parameter, float value)
{
    editParameter(parameter, true);
    setParameterValue(parameter, value);
    editParameter(parameter, false);
    parameterChanged(parameter, value);
}

void Panel::uiIdle()
{
    if (++fIdle % kIdlesBetweenLooks != 0)
        return;
    look();
    repaint();
}

void Panel::look()
{
    fHere = airband::Choices::read();
    fChoices = fTelling != nullptr ? fTelling->choices() : fHere;
    fProblem = fTelling != nullptr ? fTelling->problem() : "";
}

void Panel::onNanoDisplay()
{
    fPlaces.clear();
    fontFace(NANOVG_DEJAVU_SANS_TTF);
    beginPath();
    rect(0, 0, DISTRHO_UI_DEFAULT_WIDTH, DISTRHO_UI_DEFAULT_HEIGHT);
    fillColor(kGround);
    fill();
    textAlign(ALIGN_LEFT | ALIGN_MIDDLE);
    fillColor(kInk);
    fontSize(20);
    text(kMargin, kMargin + 10, fTitle, nullptr);
    fontSize(kText);
    fTop = kMargin + 32;
    rows();
}

bool Panel::onMouse(const MouseEvent& event)
{
    if (!event.press || event.button != kMouseButtonLeft)
        return false;
    const double x = event.pos.getX(), y = event.pos.getY();
    for (const Place& place : fPlaces) {
        if (x < place.left || x >= place.left + place.width || y < place.top || y >= place.top + place.height)
            continue;
        const std::function<void()> act = place.act; // a copy, as the place may be removed while it acts
        act();
        repaint();
        return true;
    }
    return false;
}

/// Makes this part of the next row clickable, and draws its field.
void Panel::place(float left, float width, std::function<void()> act)
{
    fPlaces.push_back({left, fTop, width, kRow - 4, std::move(act)});
    beginPath();
    roundedRect(left, fTop, width, kRow - 4, 4);
    fillColor(kField);
    fill();
}

void Panel::label(const std::string& words)
{
    textAlign(ALIGN_LEFT | ALIGN_MIDDLE);
    fillColor(kFaint);
    text(kMargin, fTop + kRow / 2 - 2, words.c_str(), nullptr);
    fillColor(kInk);
}

void Panel::state(const std::string& words, Mood mood)
{
    beginPath();
    circle(kMargin + 6, fTop + kRow / 2 - 2, 6);
    fillColor(colour(mood));
    fill();
    fillColor(kInk);
    fontSize(16);
    text(kMargin + 22, fTop + kRow / 2 - 2, words.c_str(), nullptr);
    fontSize(kText);
    fTop += kRow;
}

void Panel::progress(float share)
{
    const float width = DISTRHO_UI_DEFAULT_WIDTH - 2 * kMargin, height = 8;
    beginPath();
    roundedRect(kMargin, fTop + 4, width, height, 4);
    fillColor(kField);
    fill();
    if (share > 0) {
        beginPath();
        roundedRect(kMargin, fTop + 4, std::max(height, width * std::min(share, 1.f)), height, 4);
        fillColor(colour(share < 1 ? kAtWork : kWell));
        fill();
    }
    fTop += kRow;
}

void Panel::said(const std::string& words, const std::string& value)
{
    label(words);
    text(kMargin + kLabel, fTop + kRow / 2 - 2, value.c_str(), nullptr);
    fTop += kRow;
}

void Panel::choice(const std::string& words, uint32_t parameter, const std::vector<std::string>& names)
{
    choice(words, parameter, names, names);
}

void Panel::choice(const std::string& words, uint32_t parameter, const std::vector<std::string>& names,
    const std::vector<std::string>& here)
{
    const float left = kMargin + kLabel, width = DISTRHO_UI_DEFAULT_WIDTH - 2 * kMargin - kLabel, middle = fTop + kRow / 2 - 2;
    const int count = int(names.size()), now = int(value(parameter) + 0.5f);
    label(words);
    place(left, width / 2, [this, parameter, now, count] { set(parameter, float((now + count - 1) % count)); });
    place(left + width / 2, width / 2, [this, parameter, now, count] { set(parameter, float((now + 1) % count)); });
    beginPath();
    rect(left + width / 2 - 4, fTop, 8, kRow - 4); // so that both halves look like one field
    fill();
    fillColor(kFaint);
    textAlign(ALIGN_CENTER | ALIGN_MIDDLE);
    text(left + 12, middle, "<", nullptr);
    text(left + width - 12, middle, ">", nullptr);
    const std::string name = now < count ? names[size_t(now)] : "number " + std::to_string(now);
    const bool known = now < count && !fHere.lacks(here, name);
    fillColor(known ? kInk : colour(kBad));
    const std::string shown = known ? name : name + ", not known here";
    text(left + width / 2, middle, shown.c_str(), nullptr);
    textAlign(ALIGN_LEFT | ALIGN_MIDDLE);
    fTop += kRow;
}

void Panel::toggle(const std::string& words, uint32_t parameter)
{
    const bool on = value(parameter) > 0.5f;
    label(words);
    place(kMargin + kLabel, 64, [this, parameter, on] { set(parameter, on ? 0.f : 1.f); });
    if (on) {
        beginPath();
        roundedRect(kMargin + kLabel, fTop, 64, kRow - 4, 4);
        fillColor(colour(kBad));
        fill();
    }
    fillColor(kInk);
    textAlign(ALIGN_CENTER | ALIGN_MIDDLE);
    text(kMargin + kLabel + 32, fTop + kRow / 2 - 2, on ? "on" : "off", nullptr);
    textAlign(ALIGN_LEFT | ALIGN_MIDDLE);
    fTop += kRow;
}

void Panel::button(const std::string& words, std::function<void()> act)
{
    place(kMargin, DISTRHO_UI_DEFAULT_WIDTH - 2 * kMargin, std::move(act));
    fillColor(kInk);
    textAlign(ALIGN_CENTER | ALIGN_MIDDLE);
    text(DISTRHO_UI_DEFAULT_WIDTH / 2.f, fTop + kRow / 2 - 2, words.c_str(), nullptr);
    textAlign(ALIGN_LEFT | ALIGN_MIDDLE);
    fTop += kRow;
}

void Panel::problem()
{
    if (fProblem.empty())
        return;
    fillColor(colour(kBad));
    fontSize(13);
    textAlign(ALIGN_LEFT | ALIGN_TOP);
    textBox(kMargin, fTop + 4, DISTRHO_UI_DEFAULT_WIDTH - 2 * kMargin, fProblem.c_str(), nullptr);
}

std::string hertz(float value, const char* none)
{
    return value > 0 ? std::to_string(int(std::lround(value))) + " Hz" : none;
}

END_NAMESPACE_DISTRHO
