#include "Sender.hpp"

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <sys/stat.h>
#include <unistd.h>

using airband::Client;

static constexpr int kRetryMs = 1000;

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

std::string resultPath(const Take& take)
{
    const std::string folder = resultFolder();
    makeFolders(folder);
    const std::time_t now = std::time(nullptr);
    std::tm local;
    char when[32];
    localtime_r(&now, &local);
    std::strftime(when, sizeof when, "%Y-%m-%d %H-%M-%S", &local);
    std::string name = folder + "/" + when;
    if (take.position >= 0)
        name += " at " + std::to_string(take.position);
    std::string path = name + ".wav";
    for (int copy = 2; access(path.c_str(), F_OK) == 0; ++copy)
        path = name + " (" + std::to_string(copy) + ").wav";
    return path;
}

Sender::Sender() : fThread([this] { run(); }) {}

Sender::~Sender()
{
    {
        std::lock_guard<std::mutex> lock(fMutex);
        fQuit = true;
        fAbort = fState == kRendering || fState == kEngineAbsent;
    }
    fChanged.notify_all();
    fThread.join();
}

void Sender::add(std::unique_ptr<Take> take, const airband::Knobs& knobs)
{
    const std::string path = resultPath(*take);
    {
        std::lock_guard<std::mutex> lock(fMutex);
        fOrders.push_back({std::move(take), knobs, airband::newJob(), path});
    }
    fChanged.notify_all();
}

void Sender::deliver(const Order& order)
{
    const Take& take = *order.take;
    if (!take.intact)
        throw airband::Refused("the disk took no more of the take");
    fState = kSending;
    fProgress = 0;
    Client client("airband-send", fAbort);
    const auto read = [&take](uint64_t offset, char* into, size_t count) { take.read(offset, into, count); };
    client.submit(order.job, {take.rate, Take::kChannels, take.frames}, read, order.knobs, order.path);
    if (fQuit)
        return;
    fState = kRendering;
    client.watch(order.job, [this](float done) { fProgress = done; });
    fProgress = 1;
    ++fDelivered;
    fState = kSent;
}

/// Waits a moment before the engine is looked for again; false when the plugin ends.
bool Sender::nap()
{
    std::unique_lock<std::mutex> lock(fMutex);
    return !fChanged.wait_for(lock, std::chrono::milliseconds(kRetryMs), [this] { return fQuit.load(); });
}

void Sender::run()
{
    for (;;) {
        Order order;
        {
            std::unique_lock<std::mutex> lock(fMutex);
            fChanged.wait(lock, [this] { return fQuit || !fOrders.empty(); });
            if (fOrders.empty())
                return;
            order = std::move(fOrders.front());
            fOrders.pop_front();
        }
        for (bool again = true; again;) {
            again = false;
            try {
                deliver(order);
            } catch (const airband::EngineAbsent&) {
                fState = kEngineAbsent;
                again = nap();
            } catch (const Client::Stopped&) {
            } catch (const std::exception&) {
                fState = kFailed;
            }
        }
        fAbort = false; // it ended the wait for this take's result; those that follow are still to be sent
    }
}
