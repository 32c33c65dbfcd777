// deaf_host WORD...: starts a command as plugins do, from a thread whose host blocks or ignores terminating signals,
// holds the file $HELD open, and, if $REAPS is set, collects all its children itself.
#include "Command.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>

int main(int count, char** argument)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    std::signal(SIGINT, SIG_IGN);
    if (std::getenv("REAPS") != nullptr)
        std::signal(SIGCHLD, SIG_IGN);
    if (std::getenv("HELD") != nullptr)
        open(std::getenv("HELD"), O_RDONLY);
    airband::Command command({argument + 1, argument + count});
    while (command.turn()) {
    }
    std::printf("%d %s", command.code, command.out.c_str());
    return 0;
}
