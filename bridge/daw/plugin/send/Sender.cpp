#include "Sender.hpp"
#include "System.hpp"

#include <chrono>

using airband::Client;

static constexpr std::chrono::milliseconds kRetry(1000);
static constexpr std::chrono::seconds kAdoptEvery(30);
static constexpr airband::Patience kPatience = {10, 30 * 24 * 3600.0}; // no user waits for it
static constexpr int kTries = 3;         // for a take whose worker crashed

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
    const airband::File source(fOutbox.capturePath(take), airband::File::kRead);
    const auto read = [&source](uint64_t offset, char* into, size_t count) {
        if (source.read(offset, into, count) != int64_t(count))
            throw std::runtime_error("a captured take cannot be read back");
    };
    if (!source.isOpen())
        throw std::runtime_error(fOutbox.capturePath(take) + " cannot be read back");
    Client client("airband-send", fQuit, kPatience, true);
    fKeeper->keep();
    client.submitFile(take.job, take.name + ".wav", source.bytes(), take.head.rate, read, take.knobs,
        fOutbox.resultPath(take));
    fState = kRendering;
    fCutoffHz = float(client.watch(take.job, [this](float done) { fProgress = done; }).cutoffHz);
}

/// Waits a moment before looking for the engine again; false when the plugin ends.
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
                take.job = airband::newJob(); // the old job has failed for good
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
