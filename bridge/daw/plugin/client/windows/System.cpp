#include "Text.hpp"
#include "../System.hpp"

#include <algorithm>
#include <shlobj.h>

namespace airband {

static constexpr DWORD kShare = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE; // as POSIX always shares
static constexpr DWORD kPieceBytes = 1 << 30;

static HANDLE handleOf(intptr_t handle)
{
    return reinterpret_cast<HANDLE>(handle);
}

static OVERLAPPED at(uint64_t offset)
{
    OVERLAPPED place = {};
    place.Offset = DWORD(offset);
    place.OffsetHigh = DWORD(offset >> 32);
    return place;
}

File::File(const std::string& path, How how)
{
    const DWORD access = how == kRead ? GENERIC_READ : how == kChange ? GENERIC_WRITE : GENERIC_READ | GENERIC_WRITE;
    const DWORD disposition = how == kMake ? CREATE_NEW : how == kLock ? OPEN_ALWAYS : OPEN_EXISTING;
    fHandle = reinterpret_cast<intptr_t>(
        CreateFileW(wide(path).c_str(), access, kShare, nullptr, disposition, FILE_ATTRIBUTE_NORMAL, nullptr));
}

bool File::isPrivate() const
{
    return true;
}

uint64_t File::bytes() const
{
    LARGE_INTEGER size;
    return GetFileSizeEx(handleOf(fHandle), &size) ? uint64_t(size.QuadPart) : 0;
}

int64_t File::read(uint64_t offset, char* into, size_t count) const
{
    size_t done = 0;
    while (done < count) {
        OVERLAPPED place = at(offset + done);
        DWORD got = 0;
        if (!ReadFile(handleOf(fHandle), into + done, DWORD(std::min<size_t>(count - done, kPieceBytes)), &got, &place)
            && GetLastError() != ERROR_HANDLE_EOF)
            return -1;
        if (got == 0)
            break;
        done += got;
    }
    return int64_t(done);
}

bool File::write(uint64_t offset, const char* from, size_t count)
{
    while (count > 0) {
        OVERLAPPED place = at(offset);
        DWORD written = 0;
        const DWORD piece = DWORD(std::min<size_t>(count, kPieceBytes));
        if (!WriteFile(handleOf(fHandle), from, piece, &written, &place) || written == 0)
            return false;
        from += written;
        offset += written;
        count -= written;
    }
    return true;
}

bool File::cut(uint64_t bytes)
{
    LARGE_INTEGER end;
    end.QuadPart = LONGLONG(bytes);
    return SetFilePointerEx(handleOf(fHandle), end, nullptr, FILE_BEGIN) && SetEndOfFile(handleOf(fHandle))
        && FlushFileBuffers(handleOf(fHandle));
}

bool File::lock()
{
    OVERLAPPED place = {};
    return LockFileEx(handleOf(fHandle), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place);
}

void File::close()
{
    if (isOpen())
        CloseHandle(handleOf(fHandle));
    fHandle = kNone;
}

bool exists(const std::string& path)
{
    return GetFileAttributesW(wide(path).c_str()) != INVALID_FILE_ATTRIBUTES;
}

uint64_t bytesOf(const std::string& path)
{
    WIN32_FILE_ATTRIBUTE_DATA about;
    if (!GetFileAttributesExW(wide(path).c_str(), GetFileExInfoStandard, &about))
        return 0;
    return uint64_t(about.nFileSizeHigh) << 32 | about.nFileSizeLow;
}

bool moveFile(const std::string& from, const std::string& to)
{
    return MoveFileExW(wide(from).c_str(), wide(to).c_str(), MOVEFILE_REPLACE_EXISTING);
}

void removeFile(const std::string& path)
{
    DeleteFileW(wide(path).c_str());
}

std::vector<std::string> namesIn(const std::string& folder)
{
    std::vector<std::string> names;
    WIN32_FIND_DATAW entry;
    const HANDLE search = FindFirstFileW(wide(folder + "/*").c_str(), &entry);
    if (search == INVALID_HANDLE_VALUE)
        return names;
    do
        names.push_back(utf8(entry.cFileName));
    while (FindNextFileW(search, &entry));
    FindClose(search);
    return names;
}

void makeFolders(const std::string& path)
{
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        CreateDirectoryW(wide(path.substr(0, slash)).c_str(), nullptr);
    CreateDirectoryW(wide(path).c_str(), nullptr);
}

uint64_t freeBytes(const std::string& folder)
{
    ULARGE_INTEGER bytes;
    return GetDiskFreeSpaceExW(wide(folder).c_str(), &bytes, nullptr, nullptr) ? bytes.QuadPart : UINT64_MAX;
}

static std::string slashed(std::string path)
{
    std::replace(path.begin(), path.end(), '\\', '/');
    return path;
}

std::string environment(const char* name)
{
    const std::wstring wanted = wide(name);
    const DWORD room = GetEnvironmentVariableW(wanted.c_str(), nullptr, 0);
    std::wstring value(room, L'\0');
    value.resize(room == 0 ? 0 : GetEnvironmentVariableW(wanted.c_str(), &value[0], room));
    return slashed(utf8(value.c_str()));
}

static std::string known(const KNOWNFOLDERID& folder)
{
    wchar_t* path = nullptr;
    const bool found = SUCCEEDED(SHGetKnownFolderPath(folder, 0, nullptr, &path));
    const std::string name = found ? slashed(utf8(path)) : environment("USERPROFILE");
    CoTaskMemFree(path);
    return name;
}

std::string stateHome()
{
    return known(FOLDERID_LocalAppData);
}

std::string musicFolder()
{
    return known(FOLDERID_Music);
}

} // namespace airband
