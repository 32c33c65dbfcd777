#include "System.hpp"

#include <locale>
#include <sstream>

namespace airband {

static constexpr size_t kTextBytes = 1 << 20;

File& File::operator=(File&& other)
{
    close();
    fHandle = other.fHandle;
    other.fHandle = kNone;
    return *this;
}

std::string readText(const std::string& path)
{
    const File file(path, File::kRead);
    std::string text(size_t(file.isOpen() && file.bytes() < kTextBytes ? file.bytes() : 0), '\0');
    const int64_t count = text.empty() ? 0 : file.read(0, &text[0], text.size());
    text.resize(count > 0 ? size_t(count) : 0);
    return text;
}

double environmentNumber(const char* name, double otherwise)
{
    std::istringstream text(environment(name));
    text.imbue(std::locale::classic());
    double number = 0;
    return text >> number && number > 0 ? number : otherwise;
}

void writeText(const std::string& path, const std::string& text)
{
    const std::string part = path + ".part";
    removeFile(part);
    bool whole = false;
    {
        File file(part, File::kMake);
        whole = file.isOpen() && file.write(0, text.data(), text.size());
    }
    if (whole)
        moveFile(part, path);
}

} // namespace airband
