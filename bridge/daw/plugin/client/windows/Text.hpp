#pragma once
#include <string>
#include <windows.h>

namespace airband {

/// From UTF-8, which Airband uses everywhere else.
inline std::wstring wide(const std::string& text)
{
    const int length = MultiByteToWideChar(CP_UTF8, 0, text.data(), int(text.size()), nullptr, 0);
    std::wstring made(size_t(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), int(text.size()), &made[0], length);
    return made;
}

/// To UTF-8.
inline std::string utf8(const std::wstring& text)
{
    const int length
        = WideCharToMultiByte(CP_UTF8, 0, text.data(), int(text.size()), nullptr, 0, nullptr, nullptr);
    std::string made(size_t(length), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text.data(), int(text.size()), &made[0], length, nullptr, nullptr);
    return made;
}

} // namespace airband
