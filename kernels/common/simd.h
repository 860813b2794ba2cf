// Vectors of RSSEG_LANES floats, the same source for every instruction set.
//
// Each kernel is compiled several times, into the namespace RSSEG_ISA, with the compiler's flags for that instruction
// set; dispatch.h picks one at load. GCC's and Clang's vector extensions spell arithmetic as on floats. One lane is
// plain float: that is the path for other compilers. Nothing here may be shared between instruction sets: no function
// of the standard library's templates, and everything internal to the file.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if !defined(RSSEG_LANES) || !defined(RSSEG_ISA)
#error "compile the kernels through CMakeLists.txt, which sets RSSEG_LANES and RSSEG_ISA"
#endif

#if defined(__GNUC__)
#define RSSEG_INLINE static inline __attribute__((always_inline))
#define RSSEG_UNROLL _Pragma("GCC unroll 16")
#else
#define RSSEG_INLINE static inline
#define RSSEG_UNROLL
#endif

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr int kLanes = RSSEG_LANES;
// Vectors of accumulators beside each other: what fits the register file together with four rows of them.
#if defined(__aarch64__) || RSSEG_LANES == 16
constexpr int kWide = 4;
#else
constexpr int kWide = 3;
#endif

#if RSSEG_LANES == 1

using Vec = float;
using IntVec = std::int32_t;

RSSEG_INLINE Vec load(const float* p) { return *p; }
RSSEG_INLINE void store(float* p, Vec v) { *p = v; }
RSSEG_INLINE Vec splat(float x) { return x; }
RSSEG_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }
RSSEG_INLINE float lane(Vec v, int) { return v; }
// a where the lowest bits are set, lane by lane, else b.
RSSEG_INLINE Vec select(std::uint32_t bits, Vec a, Vec b) { return (bits & 1) ? a : b; }
// Bit first + i where lane i of a comparison holds; any_lane() joins the lanes to one word.
RSSEG_INLINE IntVec bits_where(bool holds, int first) { return static_cast<IntVec>(static_cast<std::uint32_t>(holds) << first); }
RSSEG_INLINE std::uint32_t any_lane(IntVec v) { return static_cast<std::uint32_t>(v); }

#else

typedef float Vec __attribute__((vector_size(4 * RSSEG_LANES)));
typedef std::int32_t IntVec __attribute__((vector_size(4 * RSSEG_LANES)));
typedef float Unaligned __attribute__((vector_size(4 * RSSEG_LANES), aligned(4), may_alias));

RSSEG_INLINE Vec load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
RSSEG_INLINE void store(float* p, Vec v) { *reinterpret_cast<Unaligned*>(p) = v; }
RSSEG_INLINE Vec splat(float x) { return x - Vec{}; }
RSSEG_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }
RSSEG_INLINE float lane(Vec v, int i) { return v[i]; }
RSSEG_INLINE Vec select(std::uint32_t bits, Vec a, Vec b) {
    IntVec places;
    RSSEG_UNROLL
    for (int i = 0; i < kLanes; ++i) places[i] = 1 << i;
    const IntVec all = static_cast<std::int32_t>(bits) - IntVec{};
    return (all & places) != 0 ? a : b;
}
RSSEG_INLINE IntVec bits_where(IntVec holds, int first) {
    typedef std::uint32_t Bits __attribute__((vector_size(4 * RSSEG_LANES)));
    Bits places;
    RSSEG_UNROLL
    for (int i = 0; i < kLanes; ++i) places[i] = 1u << (first + i);
    return holds & reinterpret_cast<IntVec>(places);
}
RSSEG_INLINE std::uint32_t any_lane(IntVec v) {
    std::uint64_t words[kLanes / 2];
    std::memcpy(words, &v, sizeof v);
    for (int i = 1; i < kLanes / 2; ++i) words[0] |= words[i];
    return static_cast<std::uint32_t>(words[0] | words[0] >> 32);
}

#endif

// The lanes of two vectors in turn, from lane `first` on, half a vector of each.
RSSEG_INLINE Vec interleave(Vec a, Vec b, int first) {
#if RSSEG_LANES == 1
    return first ? b : a;
#elif defined(__clang__)
    Vec out;
    RSSEG_UNROLL
    for (int i = 0; i < kLanes; ++i) out[i] = i % 2 ? b[first + i / 2] : a[first + i / 2];
    return out;
#else
    IntVec order;
    RSSEG_UNROLL
    for (int i = 0; i < kLanes; ++i) order[i] = first + i / 2 + i % 2 * kLanes;
    return __builtin_shuffle(a, b, order);
#endif
}

// target[c][r] = source[r][c] for a square of kLanes; rows lie so many floats apart.
RSSEG_INLINE void transpose(const float* source, std::size_t source_stride, float* target, std::size_t target_stride) {
    Vec rows[kLanes];
    RSSEG_UNROLL
    for (int r = 0; r < kLanes; ++r) rows[r] = load(source + static_cast<std::size_t>(r) * source_stride);
    RSSEG_UNROLL
    for (int step = 1; step < kLanes; step *= 2) {
        Vec mixed[kLanes];
        RSSEG_UNROLL
        for (int i = 0; i < kLanes / 2; ++i) {
            mixed[2 * i] = interleave(rows[i], rows[i + kLanes / 2], 0);
            mixed[2 * i + 1] = interleave(rows[i], rows[i + kLanes / 2], kLanes / 2);
        }
        RSSEG_UNROLL
        for (int r = 0; r < kLanes; ++r) rows[r] = mixed[r];
    }
    RSSEG_UNROLL
    for (int r = 0; r < kLanes; ++r) store(target + static_cast<std::size_t>(r) * target_stride, rows[r]);
}

// Into the second cache: what is fetched ahead is more than the first one holds.
RSSEG_INLINE void prefetch(const float* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p, 0, 2);  // any address may be given
#else
    (void)p;
#endif
}

RSSEG_INLINE Vec load_partial(const float* p, int count) {
    float lanes[kLanes] = {};
    std::memcpy(lanes, p, static_cast<std::size_t>(count) * sizeof(float));
    return load(lanes);
}

RSSEG_INLINE void store_partial(float* p, Vec v, int count) {
    float lanes[kLanes];
    store(lanes, v);
    std::memcpy(p, lanes, static_cast<std::size_t>(count) * sizeof(float));
}

// Folds the lanes to at most four, with whole-vector steps.
template <class Join>
RSSEG_INLINE float reduce(Vec v, Join join) {
#if RSSEG_LANES > 4
    typedef float Quad __attribute__((vector_size(16)));
    Quad quads[kLanes / 4];
    std::memcpy(quads, &v, sizeof v);
    RSSEG_UNROLL
    for (int i = kLanes / 8; i > 0; i /= 2) {
        for (int j = 0; j < i; ++j) quads[j] = join(quads[j], quads[j + i]);
    }
    return join(join(quads[0][0], quads[0][2]), join(quads[0][1], quads[0][3]));
#else
    float total = lane(v, 0);
    for (int i = 1; i < kLanes; ++i) total = join(total, lane(v, i));
    return total;
#endif
}

RSSEG_INLINE float sum(Vec v) {
    return reduce(v, [](auto a, auto b) { return a + b; });
}

RSSEG_INLINE float highest(Vec v) {
    return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}

// e^x for x <= 0, with an absolute error below 2e-7, as a softmax needs it; below -87 it stays at e^-87, 1.6e-38.
RSSEG_INLINE Vec exp(Vec x) {
    x = max(x, splat(-87.0f));
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    const Vec shifted = x * 1.44269504f + 12582912.0f;
    const Vec r = x - (shifted - 12582912.0f) * 0.693147181f;
    // The polynomial of degree 5 with the smallest relative error for |r| <= log(2) / 2.
    Vec p = splat(0.0082976548f);
    p = p * r + 0.0419153832f;
    p = p * r + 0.166675746f;
    p = p * r + 0.499988943f;
    p = p * r + 0.999999702f;
    p = p * r + 1.00000012f;
    Vec scale;
#if RSSEG_LANES == 1
    std::uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    std::memcpy(&scale, &bits, sizeof bits);
#else
    typedef std::uint32_t Bits __attribute__((vector_size(4 * RSSEG_LANES)));
    scale = reinterpret_cast<Vec>((reinterpret_cast<Bits>(shifted) << 23) + 0x3f800000u);
#endif
    return p * scale;
}

// Memory of one task, aligned to cache lines; null where there was none.
class Scratch {
public:
    explicit Scratch(std::size_t floats) {
        const std::size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
        base_ = static_cast<char*>(std::malloc(bytes + 64));
        data_ = base_ ? reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(base_) + 63) / 64 * 64) : nullptr;
    }
    ~Scratch() { std::free(base_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    explicit operator bool() const { return data_ != nullptr; }
    // The next part of it, in the order of the sum that the constructor was given.
    float* take(std::size_t floats) {
        float* part = data_;
        data_ += floats;
        return part;
    }

private:
    char* base_;
    float* data_;
};

}  // namespace
}  // namespace RSSEG_ISA
}  // namespace rsseg
