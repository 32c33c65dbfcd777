#pragma once
#include <atomic>
#include <cstddef>
#include <memory>

/// A queue between one writing and one reading thread: allocated once, without locks.
template <class T>
class Ring {
public:
    /// Holds up to `capacity` elements, a power of two.
    explicit Ring(size_t capacity) : fMask(capacity - 1), fElements(new T[capacity]()) {}

    /// Appends one element; false when the ring is full. For the writing thread.
    bool push(const T& element)
    {
        const size_t at = fWritten.load(std::memory_order_relaxed);
        if (at - fRead.load(std::memory_order_acquire) > fMask)
            return false;
        fElements[at & fMask] = element;
        fWritten.store(at + 1, std::memory_order_release);
        return true;
    }

    /// How many elements can be appended. For the writing thread.
    size_t room() const
    {
        return fMask + 1 - (fWritten.load(std::memory_order_relaxed) - fRead.load(std::memory_order_acquire));
    }

    /// How many elements wait. For the reading thread.
    size_t available() const
    {
        return fWritten.load(std::memory_order_acquire) - fRead.load(std::memory_order_relaxed);
    }

    /// The next element; one must be available.
    const T& front() const { return fElements[fRead.load(std::memory_order_relaxed) & fMask]; }

    /// Drops the next element.
    void pop() { fRead.store(fRead.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

private:
    const size_t fMask;
    const std::unique_ptr<T[]> fElements;
    std::atomic<size_t> fWritten{0}, fRead{0};
};
