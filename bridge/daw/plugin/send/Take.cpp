#include "Take.hpp"

#include <algorithm>
#include <stdexcept>

Take::Take(uint32_t rate_, int64_t position_) : rate(rate_), position(position_)
{
    for (FILE*& file : fFiles) {
        file = tmpfile();
        intact = intact && file != nullptr;
    }
}

Take::~Take()
{
    for (FILE* const file : fFiles)
        if (file != nullptr)
            fclose(file);
}

void Take::append(const float* const* samples, uint32_t count)
{
    for (uint32_t channel = 0; channel < kChannels && intact; ++channel)
        intact = fwrite(samples[channel], sizeof(float), count, fFiles[channel]) == count;
    frames += count;
}

void Take::read(uint64_t offset, char* into, size_t count) const
{
    const uint64_t perChannel = frames * sizeof(float);
    while (count > 0) {
        FILE* const file = fFiles[offset / perChannel];
        const uint64_t within = offset % perChannel;
        const size_t piece = size_t(std::min<uint64_t>(count, perChannel - within));
        if (fseeko(file, off_t(within), SEEK_SET) != 0 || fread(into, 1, piece, file) != piece)
            throw std::runtime_error("a captured take cannot be read back");
        into += piece;
        offset += piece;
        count -= piece;
    }
}
