#pragma once
#include <memory>

namespace airband {

/// ZeroMQ's context, shared by all clients of this process; it lives as long as one of them, or another holder.
///
/// libzmq 4.3 starts and ends libpgm 5.3 with its first and last context, which is not safe if one thread ends the last
/// context while another creates the next. So a plugin holds it for all of its life. Without sockets it costs nothing.
std::shared_ptr<void> sharedContext();

} // namespace airband
