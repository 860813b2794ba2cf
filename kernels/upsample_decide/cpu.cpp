// A row of the output at a time: its two rows of shares are blended to one of each class, and the four pixels between two
// shares come from the same three values. Lane x holds pixels 4x to 4x+3 as the bytes of one word, so that a vector of
// words is a piece of the output as it lies in memory. The enlarged shares are never written anywhere.
#include "cpu.h"

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bytes of a word are four pixels, the first one lowest");
#endif

constexpr std::size_t kFactor = 4;
// Of an output pixel's place between the centres of two shares, by its number within a share: (number + 1/2) / 4 - 1/2.
constexpr float kPlace[kFactor] = {-0.375f, -0.125f, 0.125f, 0.375f};

#if RSSEG_LANES == 1
RSSEG_INLINE IntVec where_greater(Vec a, Vec b, std::int32_t then, IntVec other) { return a > b ? then : other; }
RSSEG_INLINE IntVec whole(Vec v) { return static_cast<IntVec>(v); }
#else
RSSEG_INLINE IntVec where_greater(Vec a, Vec b, std::int32_t then, IntVec other) { return a > b ? then - IntVec{} : other; }
RSSEG_INLINE IntVec whole(Vec v) { return __builtin_convertvector(v, IntVec); }
#endif

std::size_t up(std::size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Shares of one class at a height between two rows, the outermost ones repeated on both sides.
void blend(const float* above, const float* below, float weight, std::size_t width, float* out) {
    float* row = out + 1;
    std::size_t x = 0;
    for (; x + kLanes <= width; x += kLanes) {
        const Vec a = load(above + x), b = load(below + x);
        store(row + x, a + (b - a) * weight);
    }
    for (; x < width; ++x) row[x] = above[x] + (below[x] - above[x]) * weight;
    out[0] = row[0];
    row[width] = row[width - 1];
}

// A vector's pixels: of class k the blended row lies k * stride further on. `left` is one before the first share.
RSSEG_INLINE void decide(const float* left, std::size_t stride, std::size_t classes, IntVec& chosen, IntVec& sure) {
    Vec best[kFactor];
    IntVec index[kFactor];
    for (std::size_t k = 0; k < classes; ++k, left += stride) {
        const Vec before = load(left), here = load(left + 1), after = load(left + 2);
        RSSEG_UNROLL
        for (std::size_t j = 0; j < kFactor; ++j) {
            const Vec other = kPlace[j] < 0 ? before : after;
            const Vec share = here + (other - here) * (kPlace[j] < 0 ? -kPlace[j] : kPlace[j]);
            if (k == 0) {
                best[j] = share;
                index[j] = IntVec{};
            } else {
                index[j] = where_greater(share, best[j], static_cast<std::int32_t>(k), index[j]);
                best[j] = max(share, best[j]);
            }
        }
    }
    chosen = sure = IntVec{};
    RSSEG_UNROLL
    for (std::size_t j = 0; j < kFactor; ++j) {
        // The comparisons are false for a NaN: what comes out of them is a number.
        const Vec share = -max(-max(best[j], Vec{}), splat(-1.0f));
        chosen |= index[j] << static_cast<int>(8 * j);
        sure |= whole(share * 255.0f + 0.5f) << static_cast<int>(8 * j);
    }
}

}  // namespace

bool upsample_decide(const UpsampleDecide& p, const Threads& threads) {
    const std::size_t stride = up(p.width) + kLanes + 2, plane = p.height * p.width, row = kFactor * p.width;
    volatile bool failed = false;
    auto task = [&](std::size_t number) {
        Scratch scratch(p.classes * stride);
        if (!scratch) {
            failed = true;
            return;
        }
        float* rows = scratch.take(p.classes * stride);
        std::memset(rows, 0, p.classes * stride * sizeof(float));  // lanes past the end are computed, too
        const std::size_t image = number / p.height, y = number % p.height;
        const float* shares = p.shares + image * p.classes * plane;
        for (std::size_t j = 0; j < kFactor; ++j) {
            const std::size_t other = kPlace[j] < 0 ? (y ? y - 1 : y) : (y + 1 < p.height ? y + 1 : y);
            for (std::size_t k = 0; k < p.classes; ++k) {
                const float* from = shares + k * plane;
                blend(from + y * p.width, from + other * p.width, kPlace[j] < 0 ? -kPlace[j] : kPlace[j], p.width, rows + k * stride);
            }
            const std::size_t out = (number * kFactor + j) * row;
            for (std::size_t x = 0; x < p.width; x += kLanes) {
                IntVec chosen, sure;
                decide(rows + x, stride, p.classes, chosen, sure);
                const std::size_t left = p.width - x, count = left < kLanes ? left : kLanes;
                std::memcpy(p.class_map + out + kFactor * x, &chosen, kFactor * count);
                std::memcpy(p.confidence + out + kFactor * x, &sure, kFactor * count);
            }
        }
    };
    parallel_for(threads, p.batch * p.height, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
