#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Files and folders, which POSIX and Windows name differently. All paths are UTF-8, with slashes.
namespace airband {

/// A file that no child process inherits.
class File {
public:
    enum How {
        kRead,   ///< Where it is no link.
        kChange,
        kMake,   ///< Must not be there.
        kLock,   ///< Made where it is missing.
    };

    File() = default;
    File(const std::string& path, How how);
    File(File&& other) : fHandle(other.fHandle) { other.fHandle = kNone; }
    File& operator=(File&& other);
    ~File() { close(); }

    bool isOpen() const { return fHandle != kNone; }
    /// Whether it is this user's, and nobody else's to read. On Windows its folder sees to that.
    bool isPrivate() const;
    uint64_t bytes() const;
    /// How many bytes were read from `offset` on: fewer than asked at the end, -1 where it failed.
    int64_t read(uint64_t offset, char* into, size_t count) const;
    /// Whether all was written.
    bool write(uint64_t offset, const char* from, size_t count);
    /// Ends it after so many bytes, and brings it to the disk.
    bool cut(uint64_t bytes);
    /// Locks it until it is closed; false while another process does.
    bool lock();
    void close();

private:
    static constexpr intptr_t kNone = -1;
    intptr_t fHandle = kNone;
};

bool exists(const std::string& path);
/// How large a file is; 0 where it is not there.
uint64_t bytesOf(const std::string& path);
/// All of a small file; "" where it is not there.
std::string readText(const std::string& path);
/// Writes a file that is never seen half-written, over one that is there.
void writeText(const std::string& path, const std::string& text);
/// Over one that is there.
bool moveFile(const std::string& from, const std::string& to);
void removeFile(const std::string& path);

/// The names in a folder.
std::vector<std::string> namesIn(const std::string& folder);
/// Makes a folder and those it lies in.
void makeFolders(const std::string& path);
/// What is free on a folder's disk; the largest number where that is not known.
uint64_t freeBytes(const std::string& folder);

/// A variable of the environment; "" where it is not set.
std::string environment(const char* name);
/// The number that a variable of the environment holds, with a point whatever the host's locale has; `otherwise` where it
/// is not set or holds none above 0.
double environmentNumber(const char* name, double otherwise);
/// Where the user's programs keep what they know, as platformdirs.user_state_path has it.
std::string stateHome();
/// Where the user's music lies.
std::string musicFolder();

} // namespace airband
