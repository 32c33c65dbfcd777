#include "../Command.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __APPLE__
#include <crt_externs.h> // a library has no `environ` there
#define environ (*_NSGetEnviron())
#else
extern char** environ;
#endif

namespace airband {

static constexpr int kTurnMs = 50;
static constexpr size_t kSaidBytes = 1 << 20;
// Variables that a host sets for its own libraries, and that break another program's interpreter.
static constexpr const char* kHostsOwn[] = {"LD_LIBRARY_PATH=", "LD_PRELOAD=", "PYTHONHOME=", "PYTHONPATH="};
#ifdef __APPLE__
static constexpr const char* kShow = "open \"$0\" >/dev/null 2>&1 &";
#else
static constexpr const char* kShow = "xdg-open \"$0\" >/dev/null 2>&1 &";
#endif

namespace {

/// A pipe that no other child inherits; closed at the end, except for the ends taken from it.
struct Pipe {
    Pipe()
    {
        int ends[2];
        if (pipe(ends) != 0)
            throw std::runtime_error("no pipe can be made");
        from = ends[0];
        into = ends[1];
        fcntl(from, F_SETFD, FD_CLOEXEC);
        fcntl(into, F_SETFD, FD_CLOEXEC);
    }
    ~Pipe()
    {
        close(into);
        if (from >= 0)
            close(from);
    }

    /// The end to read from, which the caller must close.
    int taken()
    {
        const int end = from;
        from = -1;
        return end;
    }

    int from, into;
};

/// Unblocks signals that the host blocks or ignores, since `airband stop` ends the engine by them.
struct Hearing {
    Hearing()
    {
        sigset_t none, usual;
        sigemptyset(&none);
        sigemptyset(&usual);
        for (const int number : {SIGHUP, SIGINT, SIGPIPE, SIGTERM})
            sigaddset(&usual, number);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &usual);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~Hearing() { posix_spawnattr_destroy(&attributes); }

    posix_spawnattr_t attributes;
};

bool isHostsOwn(const char* variable)
{
    for (const char* const name : kHostsOwn)
        if (std::strncmp(variable, name, std::strlen(name)) == 0)
            return true;
    return false;
}

bool readFrom(const pollfd& end, std::string& into)
{
    char piece[4096];
    if ((end.revents & POLLIN) == 0)
        return false;
    const ssize_t count = read(end.fd, piece, sizeof piece);
    if (count > 0 && into.size() < kSaidBytes)
        into.append(piece, size_t(count));
    return count > 0;
}

} // namespace

Command::Command(const std::vector<std::string>& words)
{
    Pipe out, err;
    const Hearing hearing;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out.into, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.into, STDERR_FILENO);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1); // the host's sound card is among them
#endif
    std::vector<char*> arguments, environment;
    for (const std::string& word : words)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (!isHostsOwn(*variable))
            environment.push_back(*variable);
    environment.push_back(nullptr);
    pid_t child = -1;
    const int failure
        = posix_spawnp(&child, arguments[0], &actions, &hearing.attributes, arguments.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0)
        throw std::runtime_error("`" + words[0] + "` cannot be run (" + std::strerror(failure) + ")");
    fProcess = child;
    fOut = out.taken();
    fErr = err.taken();
}

Command::~Command()
{
    close(int(fOut));
    close(int(fErr));
    if (!fEnded)
        waitpid(pid_t(fProcess), nullptr, WNOHANG);
}

bool Command::turn()
{
    pollfd ends[] = {{int(fOut), POLLIN, 0}, {int(fErr), POLLIN, 0}};
    poll(ends, 2, kTurnMs);
    const bool more = readFrom(ends[0], out) | readFrom(ends[1], err);
    if (fEnded)
        return more;
    int status = 0;
    const pid_t ended = waitpid(pid_t(fProcess), &status, WNOHANG);
    fEnded = ended == pid_t(fProcess) || (ended < 0 && errno == ECHILD); // ECHILD: the host collected it
    if (ended == pid_t(fProcess))
        code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return true; // there may be more output
}

void showFolder(const std::string& path)
{
    try {
        Command shown({"/bin/sh", "-c", kShow, path});
        while (shown.turn()) {
        }
    } catch (const std::runtime_error&) { // no process can be started, so nothing is shown
    }
}

} // namespace airband
