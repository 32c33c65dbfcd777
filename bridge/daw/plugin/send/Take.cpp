#include "Take.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

using nlohmann::json;

static constexpr uint32_t kMostChannels = 8; // the engine's limit

std::string Take::described(const char* state) const
{
    json about = {
        {"what", "airband-take"},
        {"state", state},
        {"file", name + ".wav"},
        {"job", job},
        {"instance", instance},
        {"track", head.track},
        {"rate", head.rate},
        {"channels", head.channels},
        {"frames", head.frames},
        {"knobs",
            {{"preset", knobs.preset}, {"model", knobs.model}, {"cutoff_hz", knobs.cutoffHz}, {"seed", knobs.seed},
                {"high_gain_db", knobs.highGainDb}}},
        {"note", note},
    };
    about["transport_frame"] = head.position < 0 ? json() : json(head.position);
    return about.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Take Take::from(const std::string& name, const std::string& text)
{
    const json about = json::parse(text);
    Take take;
    take.name = name;
    take.job = about.at("job");
    take.instance = about.at("instance");
    take.note = about.value("note", "");
    take.head.track = about.value("track", "");
    take.head.scene = name;
    take.head.rate = about.at("rate");
    take.head.channels = about.at("channels");
    take.head.frames = about.at("frames");
    take.head.position = about.at("transport_frame").is_null() ? -1 : about.at("transport_frame").get<int64_t>();
    const json& knobs = about.at("knobs");
    take.knobs.preset = knobs.value("preset", take.knobs.preset);
    take.knobs.model = knobs.at("model");
    take.knobs.cutoffHz = knobs.at("cutoff_hz");
    take.knobs.seed = knobs.at("seed");
    take.knobs.highGainDb = knobs.at("high_gain_db");
    if (take.instance.empty() || take.instance.find_first_not_of(airband::kJobLetters) != std::string::npos
        || take.head.rate == 0 || take.head.channels == 0 || take.head.channels > kMostChannels)
        throw std::runtime_error(name + " is not a take");
    return take;
}

Capture::Capture(const std::string& path, const Take& take)
    : fTake(take), fFile(path, airband::File::kMake)
{
    const std::vector<char> head = fTake.head.bytes();
    if (!fFile.isOpen() || !fFile.write(0, head.data(), head.size()))
        throw std::runtime_error(path + ": cannot be written");
}

bool Capture::append(float* interleaved, uint32_t frames)
{
    for (uint32_t i = 0; i < frames * Take::kChannels; ++i) {
        if (std::isfinite(interleaved[i]))
            continue;
        if (fNotNumbers++ == 0)
            fFirstNotNumber = fTake.head.frames + i / Take::kChannels;
        interleaved[i] = 0;
    }
    const size_t frameBytes = Take::kChannels * sizeof(float);
    const uint64_t end = kWaveHeadBytes + fTake.head.frames * frameBytes;
    if (!fFile.write(end, reinterpret_cast<const char*>(interleaved), frames * frameBytes))
        return false;
    fTake.head.frames += frames;
    return true;
}

Take Capture::finish(const char* cut, const airband::Knobs& knobs)
{
    fTake.knobs = knobs;
    if (fNotNumbers > 0)
        fTake.note += std::to_string(fNotNumbers) + " samples were no numbers (NaN or infinite), the first in frame "
            + std::to_string(fFirstNotNumber) + " of the take; they were replaced by silence.\n";
    if (cut != nullptr)
        fTake.note += "The take ends in frame " + std::to_string(fTake.head.frames) + " because " + cut + ".\n";
    const std::vector<char> head = fTake.head.bytes();
    if (!fFile.write(0, head.data(), head.size()))
        fTake.note += "Its head could not be written again.\n"; // the outbox mends it before it is sent
    fFile.close();
    return fTake;
}
