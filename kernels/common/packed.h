// Memory for weights as a kernel reads them, from end to end at every call: in large pages where the system has them.
#pragma once

#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rsseg {

// Floats of a matrix [depth, width] as linear.h packs it for any instruction set of at most 16 lanes.
inline std::size_t packed_size(std::size_t depth, std::size_t width) { return depth * ((width + 31) / 32 * 32); }

class Packed {
public:
    explicit Packed(std::size_t floats) {
        const std::size_t bytes = floats * sizeof(float);
        alignment_ = std::align_val_t{bytes < kLarge ? 64 : kLarge};
        data_ = static_cast<float*>(::operator new(bytes, alignment_));
#if defined(__linux__)
        if (bytes >= kLarge) madvise(data_, bytes / kLarge * kLarge, MADV_HUGEPAGE);  // a wish: small pages do as well
#endif
    }
    ~Packed() { ::operator delete(data_, alignment_); }
    Packed(const Packed&) = delete;
    Packed& operator=(const Packed&) = delete;

    float* data() const { return data_; }

private:
    static constexpr std::size_t kLarge = std::size_t{1} << 21;
    std::align_val_t alignment_;
    float* data_;
};

}  // namespace rsseg
