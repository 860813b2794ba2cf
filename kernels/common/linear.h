// y = x W for some rows of x at a time, whose results go on in the caches. W [depth, width] is packed into panels of
// kPanel columns, [panel][depth][kPanel], with zeros beyond its last column.
#pragma once

#include <math.h>  // not <cmath>: its float overloads are inline functions, shared between instruction sets

#include "simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr std::size_t kPanel = 2 * kLanes;
constexpr int kPassRows = kLanes == 16 ? 8 : 6;  // rows of a pass: with their sums and addresses in registers
constexpr std::size_t kPassDepth = 512;           // of a pass: its rows stay in the first cache, its weights in the second
constexpr std::size_t kLine = 16;                 // floats of a cache line

RSSEG_INLINE std::size_t panels(std::size_t width) { return (width + kPanel - 1) / kPanel; }

// Floats from one row to the next: whole panels, and no power of two, by which rows would evict each other.
RSSEG_INLINE std::size_t row_stride(std::size_t width) { return panels(width) * kPanel + kLine; }

// Rows of a task: with 2048 channels they fill half of a megabyte, and weights are read once for all of them.
constexpr std::size_t kTaskRows = 6 * kPassRows;

RSSEG_INLINE std::size_t tasks_of(std::size_t rows, std::size_t most) {
    const std::size_t fewest = (rows + most - 1) / most;
    return fewest > 1 ? (fewest + 3) / 4 * 4 : 1;  // as many for each of two or four threads
}

// One panel of W, whose rows lie `stride` floats apart.
RSSEG_INLINE void pack_panel(const float* weight, std::size_t stride, std::size_t depth, std::size_t width, std::size_t panel,
                             float* packed) {
    const std::size_t first = panel * kPanel, count = width - first < kPanel ? width - first : kPanel;
    float* target = packed + panel * depth * kPanel;
    for (std::size_t d = 0; d < depth; ++d, target += kPanel) {
        for (std::size_t i = 0; i < count; ++i) target[i] = weight[d * stride + first + i];
        for (std::size_t i = count; i < kPanel; ++i) target[i] = 0;
    }
}

// All panels of a W [depth, width] that is given by its columns: the transpose's rows, `stride` floats apart.
inline void pack_transposed(const float* columns, std::size_t stride, std::size_t width, std::size_t depth, float* packed) {
    for (std::size_t first = 0; first < width; first += kPanel, packed += depth * kPanel) {
        if (width - first < kPanel) std::memset(packed, 0, depth * kPanel * sizeof(float));
        for (std::size_t k = first; k < width && k < first + kPanel; k += kLanes) {
            const std::size_t some = width - k < kLanes ? width - k : kLanes;
            const float* source = columns + k * stride;
            std::size_t d = 0;
            if (some == kLanes)
                for (; d + kLanes <= depth; d += kLanes) transpose(source + d, stride, packed + d * kPanel + (k - first), kPanel);
            for (; d < depth; ++d)
                for (std::size_t i = 0; i < some; ++i) packed[d * kPanel + (k - first) + i] = source[i * stride + d];
        }
    }
}

// R rows times some of a panel's depth; added to what `out` holds where it is not the first of it.
template <int R>
RSSEG_INLINE void multiply_pass(const float* rows, std::size_t stride, const float* weights, std::size_t depth, bool first, float* out,
                                std::size_t out_stride) {
    Vec sums[R][2] = {};
    const float* row[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        row[r] = rows + static_cast<std::size_t>(r) * stride;
        if (!first) {
            sums[r][0] = load(out + static_cast<std::size_t>(r) * out_stride);
            sums[r][1] = load(out + static_cast<std::size_t>(r) * out_stride + kLanes);
        }
    }
    const float* next = weights + depth * kPanel;
    for (std::size_t d = 0; d < depth; ++d, weights += kPanel, next += kPanel) {
        prefetch(next);
        if (kPanel > kLine) prefetch(next + kLine);
        const Vec left = load(weights), right = load(weights + kLanes);
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec x = splat(row[r][d]);
            sums[r][0] += x * left;
            sums[r][1] += x * right;
        }
    }
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        store(out + static_cast<std::size_t>(r) * out_stride, sums[r][0]);
        store(out + static_cast<std::size_t>(r) * out_stride + kLanes, sums[r][1]);
    }
}

template <int R>
RSSEG_INLINE void multiply_some(int count, const float* rows, std::size_t stride, const float* weights, std::size_t depth, bool first,
                                float* out, std::size_t out_stride) {
    if (count == R) {
        multiply_pass<R>(rows, stride, weights, depth, first, out, out_stride);
        return;
    }
    if constexpr (R > 1) multiply_some<R - 1>(count, rows, stride, weights, depth, first, out, out_stride);
}

// out[r][0..whole panels] = row r times W, for `count` rows.
inline void multiply_rows(const float* rows, std::size_t stride, std::size_t count, const float* packed, std::size_t depth,
                          std::size_t width, float* out, std::size_t out_stride) {
    const std::size_t passes = (count + kPassRows - 1) / kPassRows;  // of equal size: a short one at last would be slow
    for (std::size_t panel = 0; panel < panels(width); ++panel, packed += depth * kPanel, out += kPanel) {
        for (std::size_t d = 0; d < depth; d += kPassDepth) {
            const std::size_t some = depth - d < kPassDepth ? depth - d : kPassDepth;
            for (std::size_t k = 0; k < passes; ++k) {
                const std::size_t begin = count * k / passes, end = count * (k + 1) / passes;
                multiply_some<kPassRows>(static_cast<int>(end - begin), rows + begin * stride + d, stride, packed + d * kPanel, some,
                                         d == 0, out + begin * out_stride, out_stride);
            }
        }
    }
}

// LayerNorm of n values, in place: (x - mean) / sqrt(variance + 1e-5) * weight + bias.
inline void layer_norm(float* x, std::size_t n, const float* weight, const float* bias) {
    const std::size_t whole = n / kLanes * kLanes;
    const int left = static_cast<int>(n - whole);
    Vec total = {}, squares = {};
    for (std::size_t i = 0; i < whole; i += kLanes) total += load(x + i);
    if (left) total += load_partial(x + whole, left);
    const float mean = sum(total) / static_cast<float>(n);
    for (std::size_t i = 0; i < whole; i += kLanes) {
        const Vec d = load(x + i) - mean;
        squares += d * d;
    }
    float rest = 0;
    for (std::size_t i = whole; i < n; ++i) rest += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / sqrtf((sum(squares) + rest) / static_cast<float>(n) + 1e-5f);
    for (std::size_t i = 0; i < whole; i += kLanes) store(x + i, (load(x + i) - mean) * scale * load(weight + i) + load(bias + i));
    for (std::size_t i = whole; i < n; ++i) x[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

}  // namespace
}  // namespace RSSEG_ISA
}  // namespace rsseg
