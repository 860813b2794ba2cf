// A vector holds neighbouring pixels of one row: the softmax over the window then needs no sum across lanes. The range
// features are laid out channel by channel for it, with the reflected border, once an image.
#include "cpu.h"

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr int kOffsets = 10;  // window columns in registers at a time

std::size_t reflect(std::ptrdiff_t i, std::size_t size) {
    const auto last = static_cast<std::ptrdiff_t>(size) - 1;
    return static_cast<std::size_t>(i < 0 ? -i : i > last ? 2 * last - i : i);
}

struct Layout {
    std::size_t stride;  // floats of one row of one channel: the width, both borders, and room to read a whole vector
    float* planes;       // [batch][height][channels][stride]
};

void unpack_row(const BilateralKernel& p, const Layout& layout, std::size_t row) {
    const float* source = p.range + row * p.width * p.channels;
    float* target = layout.planes + row * p.channels * layout.stride;
    for (std::size_t x = 0; x < p.width + 2 * p.radius; ++x) {
        const auto place = static_cast<std::ptrdiff_t>(x) - static_cast<std::ptrdiff_t>(p.radius);
        const float* pixel = source + reflect(place, p.width) * p.channels;
        for (std::size_t c = 0; c < p.channels; ++c) target[c * layout.stride + x] = pixel[c];
    }
    const std::size_t filled = p.width + 2 * p.radius;
    for (std::size_t c = 0; c < p.channels; ++c)
        std::memset(target + c * layout.stride + filled, 0, (layout.stride - filled) * sizeof(float));
}

// Dot products of kLanes pixels with the window columns dx to dx + O of one window row.
template <int O>
RSSEG_INLINE void products(const float* centre, const float* row, std::size_t stride, std::size_t channels, float* scores) {
    Vec sums[O] = {};
    for (std::size_t c = 0; c < channels; ++c) {
        const Vec middle = load(centre + c * stride);
        RSSEG_UNROLL
        for (int o = 0; o < O; ++o) sums[o] += middle * load(row + c * stride + o);
    }
    RSSEG_UNROLL
    for (int o = 0; o < O; ++o) store(scores + o * kLanes, sums[o]);
}

// scores [taps][kLanes] to weights, in place.
RSSEG_INLINE void normalise(float* scores, std::size_t taps, const float* spatial, float temperature) {
    Vec high = load(scores) * temperature;
    for (std::size_t o = 1; o < taps; ++o) high = max(high, load(scores + o * kLanes) * temperature);
    Vec total = {}, weighted = {};
    for (std::size_t o = 0; o < taps; ++o) {
        const Vec e = exp(load(scores + o * kLanes) * temperature - high);
        total += e;
        weighted += e * spatial[o];
        store(scores + o * kLanes, e * spatial[o]);
    }
    // The clamp applies to the sum of softmax times spatial, which is weighted / total.
    const Vec share = 1.0f / (total * max(weighted / total, splat(1e-7f)));
    for (std::size_t o = 0; o < taps; ++o) store(scores + o * kLanes, load(scores + o * kLanes) * share);
}

void filter_row(const BilateralKernel& p, const Layout& layout, std::size_t index, float* scores) {
    const std::size_t b = index / p.height, y = index % p.height, size = 2 * p.radius + 1, taps = size * size;
    const float* image = layout.planes + b * p.height * p.channels * layout.stride;
    const std::size_t row_size = p.channels * layout.stride;
    for (std::size_t x = 0; x < p.width; x += kLanes) {
        const float* centre = image + y * row_size + x + p.radius;
        for (std::size_t dy = 0; dy < size; ++dy) {
            const auto place = static_cast<std::ptrdiff_t>(y + dy) - static_cast<std::ptrdiff_t>(p.radius);
            const float* row = image + reflect(place, p.height) * row_size + x;
            float* target = scores + dy * size * kLanes;
            std::size_t dx = 0;
            for (; dx + kOffsets <= size; dx += kOffsets)
                products<kOffsets>(centre, row + dx, layout.stride, p.channels, target + dx * kLanes);
            for (; dx + 7 <= size; dx += 7)
                products<7>(centre, row + dx, layout.stride, p.channels, target + dx * kLanes);
            for (; dx + 3 <= size; dx += 3)
                products<3>(centre, row + dx, layout.stride, p.channels, target + dx * kLanes);
            for (; dx < size; ++dx)
                products<1>(centre, row + dx, layout.stride, p.channels, target + dx * kLanes);
        }
        normalise(scores, taps, p.spatial, p.temperature[0]);
        const std::size_t count = p.width - x < kLanes ? p.width - x : kLanes;
        float* out = p.kernel + (index * p.width + x) * taps;
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t o = 0; o < taps; ++o) out[i * taps + o] = scores[o * kLanes + i];
    }
}

}  // namespace

bool bilateral_kernel(const BilateralKernel& p, const Threads& threads) {
    const std::size_t taps = (2 * p.radius + 1) * (2 * p.radius + 1), rows = p.batch * p.height;
    Layout layout{p.width + 2 * p.radius + kLanes, nullptr};
    Scratch planes(rows * p.channels * layout.stride);
    if (!planes) return false;
    layout.planes = planes.take(rows * p.channels * layout.stride);
    auto unpack = [&](std::size_t row) { unpack_row(p, layout, row); };
    parallel_for(threads, rows, unpack);

    volatile bool failed = false;
    auto filter = [&](std::size_t row) {
        Scratch scores(taps * kLanes);
        if (scores)
            filter_row(p, layout, row, scores.take(taps * kLanes));
        else
            failed = true;
    };
    parallel_for(threads, rows, filter);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
