#include "Context.hpp"

#include <mutex>
#include <zmq.h>

namespace airband {

std::shared_ptr<void> sharedContext()
{
    static std::mutex mutex;
    static std::weak_ptr<void> one;
    const std::lock_guard<std::mutex> guard(mutex);
    std::shared_ptr<void> found = one.lock();
    if (!found)
        one = found = std::shared_ptr<void>(zmq_ctx_new(), zmq_ctx_term);
    return found;
}

} // namespace airband
