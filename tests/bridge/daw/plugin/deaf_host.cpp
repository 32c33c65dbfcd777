// deaf_host WORD...: starts a command as plugins do, from a thread whose host blocks or ignores what ends programs.
#include "Command.hpp"

#include <csignal>
#include <cstdio>

int main(int count, char** argument)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    std::signal(SIGINT, SIG_IGN);
    airband::Command command({argument + 1, argument + count});
    while (command.turn()) {
    }
    std::printf("%d %s", command.code, command.out.c_str());
    return 0;
}
