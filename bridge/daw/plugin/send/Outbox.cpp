#include "Outbox.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static constexpr uint64_t kFreeBytes = uint64_t(1) << 30; // what a take leaves of the disk to others
static constexpr double kWaitingGb = 20;                  // of takes that wait; $AIRBAND_SEND_WAITING_GB
static constexpr size_t kTrackBytes = 48;                 // of a track's name
static constexpr const char* kFullNotice = "/Airband Send is full.txt";

static std::string resultFolder()
{
    const char* const chosen = std::getenv("AIRBAND_SEND_FOLDER");
    if (chosen != nullptr && *chosen != '\0')
        return chosen;
    const char* const home = std::getenv("HOME");
    return std::string(home != nullptr ? home : "/tmp") + "/Music/Airband";
}

static void makeFolders(const std::string& path)
{
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        mkdir(path.substr(0, slash).c_str(), 0777);
    mkdir(path.c_str(), 0777);
}

static bool exists(const std::string& path)
{
    return access(path.c_str(), F_OK) == 0;
}

static void writeText(const std::string& path, const std::string& text)
{
    const std::string part = path + ".part";
    std::ofstream(part, std::ios::binary) << text;
    std::rename(part.c_str(), path.c_str());
}

static std::vector<std::string> listed(const std::string& folder, const std::string& suffix)
{
    std::vector<std::string> names;
    DIR* const open = opendir(folder.c_str());
    for (const dirent* entry = open != nullptr ? readdir(open) : nullptr; entry != nullptr; entry = readdir(open)) {
        const std::string name = entry->d_name;
        if (name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
            names.push_back(name.substr(0, name.size() - suffix.size()));
    }
    if (open != nullptr)
        closedir(open);
    std::sort(names.begin(), names.end());
    return names;
}

/// A track's name without control characters and `others`, of at most kTrackBytes.
static std::string cleaned(const std::string& track, const std::string& others)
{
    std::string name;
    for (const char letter : track)
        if (static_cast<unsigned char>(letter) >= ' ' && others.find(letter) == std::string::npos)
            name += letter;
    size_t end = std::min(name.size(), kTrackBytes);
    while (end < name.size() && end > 0 && (name[end] & 0xC0) == 0x80) // not within a letter of UTF-8
        --end;
    return name.substr(0, end);
}

/// "2026-11-23 07-13-33 Lead vox K3F9Q-007 at 48000": unique by instance and counter, also of takes in one second.
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
    if (fLock >= 0)
        fAdopted.push_back({fInstance, fLock});
    const std::vector<std::string> waiting = listed(fWaiting, ".json");
    for (const auto& held : fAdopted) {
        const std::string mark = held.first + "-";
        if (std::none_of(waiting.begin(), waiting.end(),
                [&mark](const std::string& name) { return name.find(mark) != std::string::npos; }))
            unlink((fWaiting + "/" + held.first + ".lock").c_str());
        close(held.second);
    }
}

/// The lock of an instance, or -1 while it lives.
int Outbox::lock(const std::string& instance) const
{
    const int file = open((fWaiting + "/" + instance + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0)
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

bool Outbox::hasRoom() const
{
    const char* const chosen = std::getenv("AIRBAND_SEND_WAITING_GB");
    const double most = (chosen != nullptr ? std::atof(chosen) : kWaitingGb) * 1e9;
    double waiting = 0;
    struct stat about;
    for (const std::string& name : listed(fWaiting, ".wav"))
        if (stat((fWaiting + "/" + name + ".wav").c_str(), &about) == 0)
            waiting += double(about.st_size);
    struct statvfs disk;
    const bool free = statvfs(fWaiting.c_str(), &disk) != 0
        || uint64_t(disk.f_bavail) * disk.f_frsize >= kFreeBytes;
    std::ostringstream notice;
    if (waiting > most)
        notice << "Takes of " << waiting / 1e9 << " GB wait in " << fWaiting << "; the limit is " << most / 1e9
               << " GB (AIRBAND_SEND_WAITING_GB). Start the engine, so that they are rendered, or move them away.\n";
    else if (!free)
        notice << "Less than 1 GiB of the disk is free. Nothing is captured until there is room.\n";
    if (!notice.str().empty())
        writeText(fFolder + kFullNotice, notice.str());
    else
        unlink((fFolder + kFullNotice).c_str());
    return notice.str().empty();
}

std::unique_ptr<Capture> Outbox::begin(uint32_t rate, int64_t position, const std::string& track,
    const airband::Knobs& knobs)
{
    const std::lock_guard<std::mutex> guard(fMutex);
    makeFolders(fWaiting);
    if (fLock < 0)
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
    } while (exists(capturePath(take)) || exists(resultPath(take)));
    take.head.scene = take.name;
    try {
        writeText(describedPath(take), take.described("recording"));
        return std::unique_ptr<Capture>(new Capture(capturePath(take), take));
    } catch (const std::runtime_error&) {
        unlink(describedPath(take).c_str());
        return nullptr;
    }
}

bool Outbox::keep(const Take& take)
{
    if (take.head.frames > 0) {
        writeText(describedPath(take), take.described("waiting"));
        return true;
    }
    unlink(capturePath(take).c_str());
    unlink(describedPath(take).c_str());
    return false;
}

/// A take whose host ended while it recorded: as long as its file says.
static void mend(Take& take, const std::string& capture)
{
    struct stat about;
    const uint64_t frameBytes = take.head.channels * sizeof(float);
    const uint64_t bytes = stat(capture.c_str(), &about) == 0 ? uint64_t(about.st_size) : 0;
    const uint64_t frames = bytes > kWaveHeadBytes ? (bytes - kWaveHeadBytes) / frameBytes : 0;
    if (frames == take.head.frames)
        return;
    take.head.frames = frames;
    take.note += "The host ended while it recorded this take.\n";
    const std::vector<char> head = take.head.bytes();
    const int file = open(capture.c_str(), O_WRONLY | O_CLOEXEC);
    if (file >= 0 && pwrite(file, head.data(), head.size(), 0) == ssize_t(head.size())
        && ftruncate(file, off_t(kWaveHeadBytes + frames * frameBytes)) == 0)
        fsync(file);
    if (file >= 0)
        close(file);
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
            std::ostringstream text;
            text << std::ifstream(fWaiting + "/" + name + ".json", std::ios::binary).rdbuf();
            Take take = Take::from(name, text.str());
            if (alive.count(take.instance) != 0)
                continue;
            if (ours.count(take.instance) == 0) {
                const int file = lock(take.instance);
                if (file < 0) {
                    alive.insert(take.instance);
                    continue;
                }
                ours.insert(take.instance);
                fAdopted.push_back({take.instance, file});
            }
            mend(take, capturePath(take));
            if (keep(take))
                found.push_back(take);
        } catch (const std::exception&) { // not ours, or being written
        }
    }
    return found;
}

void Outbox::deliver(const Take& take)
{
    writeText(fFolder + "/" + take.name + ".take.json", take.described("delivered"));
    if (!take.note.empty())
        writeText(fFolder + "/" + take.name + ".txt", take.note);
    unlink(capturePath(take).c_str());
    unlink(describedPath(take).c_str());
}

void Outbox::fail(const Take& take, const std::string& why)
{
    const std::string raw = fFolder + "/" + take.name + " (raw)";
    writeText(raw + ".txt", take.note + "Not restored: " + why + "\n");
    writeText(raw + ".take.json", take.described("failed"));
    if (std::rename(capturePath(take).c_str(), (raw + ".wav").c_str()) == 0)
        unlink(describedPath(take).c_str());
}
