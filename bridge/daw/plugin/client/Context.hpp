#pragma once
#include <memory>

namespace airband {

/// ZeroMQ's context, which all clients of this process share for as long as one of them, or whoever asked for it, lives.
///
/// libzmq 4.3 starts and ends libpgm 5.3 with its first and last context, and that is not safe where one thread ends the
/// last context while another one makes the next: so a plugin keeps it for all of its life. Without sockets it costs
/// nothing.
std::shared_ptr<void> sharedContext();

} // namespace airband
