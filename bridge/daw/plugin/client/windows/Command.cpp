#include "../Command.hpp"
#include "Text.hpp"

#include <algorithm>
#include <shellapi.h>
#include <stdexcept>

namespace airband {

static constexpr DWORD kTurnMs = 50;
static constexpr size_t kSaidBytes = 1 << 20;
// Variables that a host sets for its own interpreter, and that break another program's.
static constexpr const wchar_t* kHostsOwn[] = {L"PYTHONHOME=", L"PYTHONPATH="};

namespace {

/// A pipe whose writing end the child inherits; closed at the end, except for the ends taken from it.
struct Pipe {
    Pipe()
    {
        SECURITY_ATTRIBUTES inherited = {sizeof inherited, nullptr, TRUE};
        if (!CreatePipe(&from, &into, &inherited, 0))
            throw std::runtime_error("no pipe can be made");
        SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
    }
    ~Pipe()
    {
        CloseHandle(into);
        if (from != nullptr)
            CloseHandle(from);
    }

    /// The end to read from, which the caller must close.
    intptr_t taken()
    {
        const HANDLE end = from;
        from = nullptr;
        return reinterpret_cast<intptr_t>(end);
    }

    HANDLE from = nullptr, into = nullptr;
};

/// Quotes a word for CommandLineToArgvW, where backslashes are special only before a quote.
std::wstring quoted(const std::string& word)
{
    std::wstring out = L"\"";
    size_t slashes = 0;
    for (const wchar_t letter : wide(word)) {
        if (letter == L'"')
            out.append(slashes + 1, L'\\');
        slashes = letter == L'\\' ? slashes + 1 : 0;
        out += letter;
    }
    return out.append(slashes, L'\\') + L'"';
}

/// The host's environment without its own variables, as CreateProcessW takes it.
std::wstring childsEnvironment()
{
    std::wstring block;
    wchar_t* const all = GetEnvironmentStringsW();
    for (const wchar_t* variable = all; *variable != L'\0'; variable += wcslen(variable) + 1)
        if (std::none_of(std::begin(kHostsOwn), std::end(kHostsOwn),
                [variable](const wchar_t* name) { return _wcsnicmp(variable, name, wcslen(name)) == 0; }))
            block.append(variable, wcslen(variable) + 1);
    FreeEnvironmentStringsW(all);
    return block + L'\0';
}

/// Starts a process that inherits only the writing ends from the host.
PROCESS_INFORMATION start(std::wstring line, const Pipe& out, const Pipe& err)
{
    HANDLE inherited[] = {out.into, err.into};
    SIZE_T room = 0;
    InitializeProcThreadAttributeList(nullptr, 1, 0, &room);
    std::vector<char> list(room);
    STARTUPINFOEXW how = {};
    how.StartupInfo.cb = sizeof how;
    how.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    how.StartupInfo.hStdOutput = out.into;
    how.StartupInfo.hStdError = err.into;
    how.lpAttributeList = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(list.data());
    PROCESS_INFORMATION started = {};
    if (!InitializeProcThreadAttributeList(how.lpAttributeList, 1, 0, &room))
        return started;
    UpdateProcThreadAttribute(
        how.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited, sizeof inherited, nullptr, nullptr);
    std::wstring environment = childsEnvironment();
    CreateProcessW(nullptr, &line[0], nullptr, nullptr, TRUE,
        CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT, &environment[0], nullptr,
        &how.StartupInfo, &started);
    DeleteProcThreadAttributeList(how.lpAttributeList);
    return started;
}

/// Reads what waits in a pipe; true if there was something.
bool readFrom(HANDLE pipe, std::string& into)
{
    char piece[4096];
    DWORD waiting = 0, got = 0;
    if (!PeekNamedPipe(pipe, nullptr, 0, nullptr, &waiting, nullptr) || waiting == 0
        || !ReadFile(pipe, piece, std::min<DWORD>(waiting, sizeof piece), &got, nullptr))
        return false;
    if (into.size() < kSaidBytes)
        into.append(piece, got);
    return got > 0;
}

} // namespace

Command::Command(const std::vector<std::string>& words)
{
    Pipe said, complained;
    std::wstring line;
    for (const std::string& word : words)
        line += (line.empty() ? L"" : L" ") + quoted(word);
    const PROCESS_INFORMATION started = start(line, said, complained);
    const DWORD failure = GetLastError();
    if (started.hProcess == nullptr)
        throw std::runtime_error("`" + words[0] + "` cannot be run (Windows error " + std::to_string(failure) + ")");
    CloseHandle(started.hThread);
    fProcess = reinterpret_cast<intptr_t>(started.hProcess);
    fOut = said.taken();
    fErr = complained.taken();
}

Command::~Command()
{
    for (const intptr_t handle : {fOut, fErr, fProcess})
        CloseHandle(reinterpret_cast<HANDLE>(handle));
}

bool Command::turn()
{
    const HANDLE process = reinterpret_cast<HANDLE>(fProcess);
    if (!fEnded && WaitForSingleObject(process, kTurnMs) == WAIT_OBJECT_0) {
        DWORD status = 0;
        fEnded = true;
        code = GetExitCodeProcess(process, &status) ? int(status) : -1;
    }
    const bool more = readFrom(reinterpret_cast<HANDLE>(fOut), out) | readFrom(reinterpret_cast<HANDLE>(fErr), err);
    return more || !fEnded;
}

void showFolder(const std::string& path)
{
    ShellExecuteW(nullptr, L"explore", wide(path).c_str(), nullptr, nullptr, SW_SHOWNORMAL);
}

} // namespace airband
