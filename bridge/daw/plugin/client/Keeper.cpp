#include "Keeper.hpp"
#include "Client.hpp"
#include "Launcher.hpp"

namespace airband {

static constexpr double kEveryS = 300;
static constexpr Patience kPatience = {5, 5};

Keeper::Keeper(double everyS) : fEveryS(everyS), fThread([this] { run(); }) {}

Keeper::~Keeper()
{
    {
        const std::lock_guard<std::mutex> guard(fMutex);
        fQuit = true;
    }
    fChanged.notify_all();
    fThread.join();
}

std::shared_ptr<Keeper> Keeper::shared()
{
    static std::mutex mutex;
    static std::weak_ptr<Keeper> one;
    const std::lock_guard<std::mutex> guard(mutex);
    std::shared_ptr<Keeper> found = one.lock();
    if (!found)
        one = found = std::make_shared<Keeper>(kEveryS);
    return found;
}

void Keeper::keep()
{
    const std::lock_guard<std::mutex> guard(fMutex);
    fKeeps = true;
    fProblem.clear();
}

void Keeper::meet()
{
    if (!mayLaunch())
        return;
    {
        const std::lock_guard<std::mutex> guard(fMutex);
        fMeets = true;
    }
    fChanged.notify_all();
}

std::string Keeper::problem() const
{
    const std::lock_guard<std::mutex> guard(fMutex);
    return fProblem;
}

void Keeper::run()
{
    std::unique_lock<std::mutex> lock(fMutex);
    while (!fQuit) {
        fChanged.wait_for(lock, std::chrono::duration<double>(fEveryS), [this] { return fQuit || fMeets; });
        const bool meets = fMeets.exchange(false);
        if (fQuit || !(meets || fKeeps))
            continue;
        lock.unlock();
        std::string problem;
        try {
            if (meets)
                launch(fQuit);
            Client("airband-keeper", fQuit, kPatience, false);
        } catch (const std::exception& error) {
            problem = error.what();
        }
        fKeeps = problem.empty();
        lock.lock();
        fProblem = problem;
    }
}

} // namespace airband
