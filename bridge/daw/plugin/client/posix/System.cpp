#include "../System.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace airband {

File::File(const std::string& path, How how)
{
    static constexpr int kFlags[] = {O_RDONLY | O_NOFOLLOW, O_WRONLY, O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_CREAT};
    fHandle = open(path.c_str(), kFlags[how] | O_CLOEXEC, 0666);
}

bool File::isPrivate() const
{
    struct stat about;
    return fstat(int(fHandle), &about) == 0 && about.st_uid == getuid() && (about.st_mode & 077) == 0;
}

uint64_t File::bytes() const
{
    struct stat about;
    return fstat(int(fHandle), &about) == 0 ? uint64_t(about.st_size) : 0;
}

int64_t File::read(uint64_t offset, char* into, size_t count) const
{
    size_t done = 0;
    while (done < count) {
        const ssize_t got = pread(int(fHandle), into + done, count - done, off_t(offset + done));
        if (got < 0 && errno == EINTR) // happens on network disks, as hosts use signals too
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += size_t(got);
    }
    return int64_t(done);
}

bool File::write(uint64_t offset, const char* from, size_t count)
{
    while (count > 0) {
        const ssize_t written = pwrite(int(fHandle), from, count, off_t(offset));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        from += written;
        offset += uint64_t(written);
        count -= size_t(written);
    }
    return true;
}

bool File::cut(uint64_t bytes)
{
    return ftruncate(int(fHandle), off_t(bytes)) == 0 && fsync(int(fHandle)) == 0;
}

bool File::lock()
{
    return flock(int(fHandle), LOCK_EX | LOCK_NB) == 0;
}

void File::close()
{
    if (isOpen())
        ::close(int(fHandle));
    fHandle = kNone;
}

bool exists(const std::string& path)
{
    return access(path.c_str(), F_OK) == 0;
}

uint64_t bytesOf(const std::string& path)
{
    struct stat about;
    return stat(path.c_str(), &about) == 0 ? uint64_t(about.st_size) : 0;
}

bool moveFile(const std::string& from, const std::string& to)
{
    return std::rename(from.c_str(), to.c_str()) == 0;
}

void removeFile(const std::string& path)
{
    unlink(path.c_str());
}

std::vector<std::string> namesIn(const std::string& folder)
{
    std::vector<std::string> names;
    DIR* const open = opendir(folder.c_str());
    for (const dirent* entry = open != nullptr ? readdir(open) : nullptr; entry != nullptr; entry = readdir(open))
        names.push_back(entry->d_name);
    if (open != nullptr)
        closedir(open);
    return names;
}

void makeFolders(const std::string& path)
{
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        mkdir(path.substr(0, slash).c_str(), 0777);
    mkdir(path.c_str(), 0777);
}

uint64_t freeBytes(const std::string& folder)
{
    struct statvfs disk;
    return statvfs(folder.c_str(), &disk) == 0 ? uint64_t(disk.f_bavail) * disk.f_frsize : UINT64_MAX;
}

std::string environment(const char* name)
{
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::string stateHome()
{
    const std::string state = environment("XDG_STATE_HOME");
    if (!state.empty())
        return state;
#ifdef __APPLE__
    return environment("HOME") + "/Library/Application Support";
#else
    return environment("HOME") + "/.local/state";
#endif
}

std::string musicFolder()
{
    const std::string home = environment("HOME");
    return (home.empty() ? "/tmp" : home) + "/Music";
}

} // namespace airband
