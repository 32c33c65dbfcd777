#include "Outbox.hpp"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

using airband::File;

static constexpr uint64_t kFreeBytes = uint64_t(1) << 30; // free disk space that takes leave to others
static constexpr double kWaitingGb = 20;                  // limit for waiting takes; $AIRBAND_SEND_WAITING_GB
static constexpr size_t kTrackBytes = 48;                 // longest name of a track
static constexpr const char* kFullNotice = "/Airband Send is full.txt";

static std::string resultFolder()
{
    const std::string chosen = airband::environment("AIRBAND_SEND_FOLDER");
    return chosen.empty() ? airband::musicFolder() + "/Airband" : chosen;
}

/// The names in a folder with that suffix, without it, sorted.
static std::vector<std::string> listed(const std::string& folder, const std::string& suffix)
{
    std::vector<std::string> names;
    for (const std::string& name : airband::namesIn(folder))
        if (name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
            names.push_back(name.substr(0, name.size() - suffix.size()));
    std::sort(names.begin(), names.end());
    return names;
}

/// A text without bytes that are not UTF-8, which no JSON, XML or message can carry.
static std::string readable(const std::string& text)
{
    using nlohmann::json;
    return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::ignore));
}

/// A track's name without control characters and the characters `others`, of at most kTrackBytes.
static std::string cleaned(const std::string& track, const std::string& others)
{
    std::string name;
    for (const char letter : readable(track))
        if (static_cast<unsigned char>(letter) >= ' ' && others.find(letter) == std::string::npos)
            name += letter;
    size_t end = std::min(name.size(), kTrackBytes);
    while (end < name.size() && end > 0 && (name[end] & 0xC0) == 0x80) // do not cut a UTF-8 character in two
        --end;
    return name.substr(0, end);
}

/// "2026-11-23 07-13-33 Lead vox K3F9Q-007 at 48000": instance and counter make it unique, even within one second.
static std::string takeName(const Take& take, uint32_t count)
{
    const std::time_t now = std::time(nullptr);
    std::tm local;
    char when[32], number[16];
    localtime_r(&now, &local);
    std::strftime(when, sizeof when, "%Y-%m-%d %H-%M-%S ", &local);
    std::snprintf(number, sizeof number, "-%03u", count);
    const std::string track = cleaned(take.head.track, "/\\:*?\"<>|");
    return when + (track.empty() ? track : track + " ") + take.instance + number
        + (take.head.position >= 0 ? " at " + std::to_string(take.head.position) : "");
}

Outbox::Outbox()
    : fFolder(resultFolder()), fWaiting(fFolder + "/waiting"), fInstance(airband::newJob().substr(21))
{
}

Outbox::~Outbox()
{
    if (fLock.isOpen())
        fAdopted.emplace_back(fInstance, std::move(fLock));
    const std::vector<std::string> waiting = listed(fWaiting, ".json");
    for (auto& held : fAdopted) {
        const std::string mark = held.first + "-";
        if (std::none_of(waiting.begin(), waiting.end(),
                [&mark](const std::string& name) { return name.find(mark) != std::string::npos; }))
            airband::removeFile(fWaiting + "/" + held.first + ".lock");
        held.second.close();
    }
}

/// The lock of an instance; none if it still runs.
File Outbox::lock(const std::string& instance) const
{
    File file(fWaiting + "/" + instance + ".lock", File::kLock);
    return file.isOpen() && file.lock() ? std::move(file) : File();
}

std::string Outbox::problem()
{
    const std::lock_guard<std::mutex> guard(fMutex);
    return fProblem;
}

bool Outbox::takesMore()
{
    const std::lock_guard<std::mutex> guard(fMutex);
    return hasRoom();
}

bool Outbox::hasRoom()
{
    const double most = airband::environmentNumber("AIRBAND_SEND_WAITING_GB", kWaitingGb) * 1e9;
    double waiting = 0;
    for (const std::string& name : listed(fWaiting, ".wav"))
        waiting += double(airband::bytesOf(fWaiting + "/" + name + ".wav"));
    const bool free = airband::freeBytes(fWaiting) >= kFreeBytes;
    std::ostringstream notice;
    if (waiting > most)
        notice << "Takes of " << waiting / 1e9 << " GB wait in " << fWaiting << "; the limit is " << most / 1e9
               << " GB (AIRBAND_SEND_WAITING_GB). Start the engine, so that they are rendered, or move them away.\n";
    else if (!free)
        notice << "Less than 1 GiB of the disk is free. Nothing is captured until there is room.\n";
    fProblem = notice.str();
    if (!fProblem.empty())
        airband::writeText(fFolder + kFullNotice, fProblem);
    else
        airband::removeFile(fFolder + kFullNotice);
    return fProblem.empty();
}

std::unique_ptr<Capture> Outbox::begin(uint32_t rate, int64_t position, const std::string& track,
    const airband::Knobs& knobs)
{
    const std::lock_guard<std::mutex> guard(fMutex);
    airband::makeFolders(fWaiting);
    if (!fLock.isOpen())
        fLock = lock(fInstance);
    if (!hasRoom())
        return nullptr;
    Take take;
    take.instance = fInstance;
    take.job = airband::newJob();
    take.knobs = knobs;
    take.head.rate = rate;
    take.head.channels = Take::kChannels;
    take.head.position = position;
    take.head.track = cleaned(track, "");
    do {
        take.name = takeName(take, ++fCount);
    } while (airband::exists(capturePath(take)) || airband::exists(resultPath(take)));
    take.head.scene = take.name;
    try {
        airband::writeText(describedPath(take), take.described("recording"));
        return std::unique_ptr<Capture>(new Capture(capturePath(take), take));
    } catch (const std::runtime_error& error) {
        fProblem = error.what();
        airband::removeFile(describedPath(take));
        return nullptr;
    }
}

bool Outbox::keep(const Take& take)
{
    if (take.head.frames > 0) {
        airband::writeText(describedPath(take), take.described("waiting"));
        return true;
    }
    airband::removeFile(capturePath(take));
    airband::removeFile(describedPath(take));
    return false;
}

/// Mends a take whose host ended while recording: its length is that of its file.
static void mend(Take& take, const std::string& capture)
{
    const uint64_t frameBytes = take.head.channels * sizeof(float), bytes = airband::bytesOf(capture);
    const uint64_t frames = bytes > kWaveHeadBytes ? (bytes - kWaveHeadBytes) / frameBytes : 0;
    if (frames == take.head.frames)
        return;
    take.head.frames = frames;
    take.note += "The host ended while it recorded this take.\n";
    const std::vector<char> head = take.head.bytes();
    File file(capture, File::kChange);
    if (file.isOpen() && file.write(0, head.data(), head.size()))
        file.cut(kWaveHeadBytes + frames * frameBytes);
}

std::vector<Take> Outbox::adopt()
{
    const std::lock_guard<std::mutex> guard(fMutex);
    std::vector<Take> found;
    std::set<std::string> alive = {fInstance}, ours;
    for (const auto& adopted : fAdopted)
        alive.insert(adopted.first);
    for (const std::string& name : listed(fWaiting, ".json")) {
        try {
            const std::string about = fWaiting + "/" + name + ".json";
            Take take = Take::from(name, airband::readText(about));
            if (alive.count(take.instance) != 0)
                continue;
            if (ours.count(take.instance) == 0) {
                File file = lock(take.instance);
                if (!file.isOpen()) {
                    alive.insert(take.instance);
                    continue;
                }
                ours.insert(take.instance);
                fAdopted.emplace_back(take.instance, std::move(file));
            }
            take = Take::from(name, airband::readText(about)); // read again: its instance may just have ended
            mend(take, capturePath(take));
            if (keep(take))
                found.push_back(take);
        } catch (const std::exception&) { // not one of ours, or still being written
        }
    }
    return found;
}

void Outbox::deliver(const Take& take)
{
    airband::writeText(fFolder + "/" + take.name + ".take.json", take.described("delivered"));
    if (!take.note.empty())
        airband::writeText(fFolder + "/" + take.name + ".txt", take.note);
    airband::removeFile(capturePath(take));
    airband::removeFile(describedPath(take));
}

void Outbox::fail(const Take& take, const std::string& why)
{
    const std::string raw = fFolder + "/" + take.name + " (raw)";
    airband::writeText(raw + ".txt", take.note + "Not restored: " + why + "\n");
    airband::writeText(raw + ".take.json", take.described("failed"));
    if (airband::moveFile(capturePath(take), raw + ".wav"))
        airband::removeFile(describedPath(take));
}
