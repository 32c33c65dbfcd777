#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Files and folders, for which POSIX and Windows have different calls. All paths are UTF-8, with slashes.
namespace airband {

/// A file that no child process inherits.
class File {
public:
    enum How {
        kRead,   ///< Fails on a symbolic link.
        kChange,
        kMake,   ///< Must not exist.
        kLock,   ///< Created if missing.
    };

    File() = default;
    File(const std::string& path, How how);
    File(File&& other) : fHandle(other.fHandle) { other.fHandle = kNone; }
    File& operator=(File&& other);
    ~File() { close(); }

    bool isOpen() const { return fHandle != kNone; }
    /// Whether it belongs to this user and nobody else may read it. On Windows its folder ensures that.
    bool isPrivate() const;
    uint64_t bytes() const;
    /// Reads from `offset`; returns the number of bytes, fewer than asked at the end, -1 on failure.
    int64_t read(uint64_t offset, char* into, size_t count) const;
    /// Returns whether all was written.
    bool write(uint64_t offset, const char* from, size_t count);
    /// Truncates it to so many bytes, and flushes it to disk.
    bool cut(uint64_t bytes);
    /// Locks it until it is closed; false if another process holds the lock.
    bool lock();
    void close();

private:
    static constexpr intptr_t kNone = -1;
    intptr_t fHandle = kNone;
};

bool exists(const std::string& path);
/// The size of a file; 0 if it does not exist.
uint64_t bytesOf(const std::string& path);
/// The content of a small file; "" if it does not exist.
std::string readText(const std::string& path);
/// Writes a file at once, so that nobody sees half of it; replaces an existing one.
void writeText(const std::string& path, const std::string& text);
/// Replaces an existing file.
bool moveFile(const std::string& from, const std::string& to);
void removeFile(const std::string& path);

/// The names in a folder.
std::vector<std::string> namesIn(const std::string& folder);
/// Creates a folder and its parents.
void makeFolders(const std::string& path);
/// Free space on a folder's disk; the largest number if unknown.
uint64_t freeBytes(const std::string& folder);

/// An environment variable; "" if it is not set.
std::string environment(const char* name);
/// The number in an environment variable, with a decimal point whatever the host's locale; `otherwise` if it is not set
/// or not a number above 0.
double environmentNumber(const char* name, double otherwise);
/// The folder for programs' state, as platformdirs.user_state_path gives it.
std::string stateHome();
/// The user's music folder.
std::string musicFolder();

} // namespace airband
