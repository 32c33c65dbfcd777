#include "Launcher.hpp"
#include "Client.hpp"
#include "Command.hpp"
#include "System.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace airband {

using Clock = std::chrono::steady_clock;

static constexpr double kStartS = 60;  // as long as bridge/client/launch.py waits
static constexpr double kRetryS = 30;  // pause after a failure
static constexpr double kFreshS = 60;  // how long an offer stays valid
static constexpr std::chrono::milliseconds kSlice(50); // how often a wait checks `stop`

namespace {

struct Memory {
    std::timed_mutex launching; ///< Held by the thread that runs the command.
    std::mutex mutex;           ///< Protects the members below.
    nlohmann::json offer;
    Clock::time_point offered, failed;
    std::string why;
};

Memory& memory()
{
    static Memory shared;
    return shared;
}

double since(Clock::time_point then)
{
    return std::chrono::duration<double>(Clock::now() - then).count();
}

} // namespace

static std::string command()
{
    const std::string chosen = environment("AIRBAND_COMMAND");
    if (!chosen.empty())
        return chosen;
    const std::string noted = readText(stateFolder() + "/airband-command.txt");
    return noted.empty() ? "airband" : noted.substr(0, noted.find('\n'));
}

static nlohmann::json run(const std::atomic<bool>& stop)
{
    const Clock::time_point began = Clock::now();
    const std::string name = command();
    std::unique_ptr<Command> started;
    try {
        started.reset(new Command({name, "daw", "engine", "--state", stateFolder()}));
    } catch (const std::runtime_error& error) {
        throw EngineAbsent(std::string(error.what()) + ": install Airband, or name its command in AIRBAND_COMMAND");
    }
    Command& running = *started;
    while (running.turn()) {
        if (stop)
            throw Client::Stopped("the host ends the plugin");
        if (since(began) > kStartS)
            throw EngineAbsent("the engine did not start in 60 s");
    }
    const nlohmann::json offer = nlohmann::json::parse(running.out, nullptr, false);
    if (offer.is_object() && offer.contains("presets"))
        return offer;
    if (running.code == 0)
        throw EngineAbsent("`" + name + " daw engine` did not answer as it should: is it of this version?");
    while (!running.err.empty() && running.err.back() == '\n')
        running.err.pop_back();
    throw EngineAbsent(running.err.empty() ? "the engine cannot be started" : running.err);
}

bool mayLaunch()
{
    const char* const chosen = std::getenv("AIRBAND_START");
    return chosen == nullptr || std::strcmp(chosen, "0") != 0;
}

nlohmann::json launch(const std::atomic<bool>& stop)
{
    Memory& shared = memory();
    while (!shared.launching.try_lock_for(kSlice))
        if (stop)
            throw Client::Stopped("the host ends the plugin");
    const std::lock_guard<std::timed_mutex> launching(shared.launching, std::adopt_lock);
    {
        const std::lock_guard<std::mutex> guard(shared.mutex);
        if (!shared.why.empty() && since(shared.failed) < kRetryS)
            throw EngineAbsent(shared.why);
    }
    try {
        const nlohmann::json offer = run(stop);
        const std::lock_guard<std::mutex> guard(shared.mutex);
        shared.offer = offer;
        shared.offered = Clock::now();
        shared.why.clear();
        return offer;
    } catch (const EngineAbsent& error) {
        const std::lock_guard<std::mutex> guard(shared.mutex);
        shared.why = error.what();
        shared.failed = Clock::now();
        throw;
    }
}

std::string presetMissing(const std::string& name)
{
    return "This project's preset \"" + name + "\" is not on this machine. Nothing is rendered by another in its place: "
        "bring " + name + ".toml to your presets, or choose one.";
}

nlohmann::json presetNamed(const std::string& name, const std::atomic<bool>& stop)
{
    nlohmann::json offer;
    {
        Memory& shared = memory();
        const std::lock_guard<std::mutex> guard(shared.mutex);
        if (since(shared.offered) < kFreshS)
            offer = shared.offer;
    }
    if (offer.is_null())
        offer = launch(stop);
    const nlohmann::json& presets = offer.at("presets");
    if (!presets.contains(name))
        throw Refused(presetMissing(name));
    const nlohmann::json& preset = presets.at(name);
    if (preset.contains("error"))
        throw Refused(preset.at("error").get<std::string>());
    return preset;
}

} // namespace airband
