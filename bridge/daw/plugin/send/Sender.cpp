#include "Sender.hpp"

#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using airband::Client;

static constexpr std::chrono::milliseconds kRetry(1000);
static constexpr std::chrono::seconds kAdoptEvery(30);
static constexpr airband::Patience kPatience = {10, 30 * 24 * 3600.0}; // nobody waits for it
static constexpr int kTries = 3;         // of a take whose worker crashed

namespace {

/// A file that is read in pieces.
class Source {
public:
    explicit Source(const std::string& path) : fFile(open(path.c_str(), O_RDONLY | O_CLOEXEC))
    {
        struct stat about;
        if (fFile < 0 || fstat(fFile, &about) != 0)
            throw std::runtime_error(path + " cannot be read back");
        bytes = uint64_t(about.st_size);
    }
    ~Source() { close(fFile); }

    void read(uint64_t offset, char* into, size_t count) const
    {
        while (count > 0) {
            const ssize_t got = pread(fFile, into, count, off_t(offset));
            if (got <= 0)
                throw std::runtime_error("a captured take cannot be read back");
            into += got;
            offset += uint64_t(got);
            count -= size_t(got);
        }
    }

    uint64_t bytes = 0;

private:
    const int fFile;
};

} // namespace

Sender::Sender(Outbox& outbox) : fOutbox(outbox), fThread([this] { run(); }) {}

Sender::~Sender()
{
    {
        std::lock_guard<std::mutex> lock(fMutex);
        fQuit = true;
    }
    fChanged.notify_all();
    fThread.join();
}

void Sender::add(const Take& take)
{
    {
        std::lock_guard<std::mutex> lock(fMutex);
        fTakes.push_back(take);
    }
    fChanged.notify_all();
}

std::string Sender::problem() const
{
    const std::lock_guard<std::mutex> lock(fMutex);
    return fProblem;
}

void Sender::tell(State state, const std::string& problem)
{
    const std::lock_guard<std::mutex> lock(fMutex);
    fProblem = problem;
    fState = state;
}

void Sender::deliver(const Take& take)
{
    fState = kSending;
    fProgress = 0;
    const Source source(fOutbox.capturePath(take));
    Client client("airband-send", fQuit, kPatience, true);
    fKeeper->keep();
    client.submitFile(
        take.job, take.name + ".wav", source.bytes, take.head.rate,
        [&source](uint64_t offset, char* into, size_t count) { source.read(offset, into, count); }, take.knobs,
        fOutbox.resultPath(take));
    fState = kRendering;
    fCutoffHz = float(client.watch(take.job, [this](float done) { fProgress = done; }).cutoffHz);
}

/// Waits a moment before the engine is looked for again; false when the plugin ends.
bool Sender::nap()
{
    std::unique_lock<std::mutex> lock(fMutex);
    return !fChanged.wait_for(lock, kRetry, [this] { return fQuit.load(); });
}

void Sender::bring(Take& take)
{
    for (int tries = 1; !fQuit;) {
        try {
            deliver(take);
            fOutbox.deliver(take);
            fProgress = 1;
            ++fDelivered;
            tell(kSent);
            return;
        } catch (const airband::EngineAbsent& absent) {
            tell(kEngineAbsent, absent.what());
            nap();
        } catch (const Client::Stopped&) {
            return;
        } catch (const airband::Refused& refused) {
            if (refused.code == "worker_crashed" && tries++ < kTries) {
                take.job = airband::newJob(); // the old one has failed for good
                fOutbox.keep(take);
                continue;
            }
            fOutbox.fail(take, refused.what());
            ++fFailed;
            tell(kFailed, refused.what());
            return;
        } catch (const std::exception& error) {
            fOutbox.fail(take, error.what());
            ++fFailed;
            tell(kFailed, error.what());
            return;
        }
    }
}

void Sender::run()
{
    auto adopted = std::chrono::steady_clock::time_point();
    while (!fQuit) {
        if (std::chrono::steady_clock::now() - adopted > kAdoptEvery) {
            for (const Take& take : fOutbox.adopt())
                add(take);
            adopted = std::chrono::steady_clock::now();
        }
        Take take;
        {
            std::unique_lock<std::mutex> lock(fMutex);
            if (!fChanged.wait_for(lock, kAdoptEvery, [this] { return fQuit || !fTakes.empty(); }))
                continue;
            if (fQuit)
                return;
            take = fTakes.front();
            fTakes.pop_front();
        }
        bring(take);
    }
}
