// See plan.h for the arithmetic. Three steps, each parallel: pixels become channels-last; every pair of kinds of sums is
// made of them, rows then columns; for two vectors of filters at a time, the matrix products of all pairs of kinds, kind by
// kind of rows, whose results are made outputs while they are in the caches, columns then rows.
#include "cpu.h"

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr std::size_t kFilters = 2 * kLanes;            // of a block
constexpr std::size_t kBlocks = 2;                      // of a task: pixels are read once for both
constexpr int kRows = kLanes == 16 ? 8 : 6;            // pixels of a pass: their sums and addresses are registers
constexpr std::size_t kLine = 16;                       // floats of a cache line
constexpr std::size_t kTogether = 5000000;              // floats of sums: below what malloc takes from the system anew

std::size_t up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

// out = the sum of rows i of a sparse map, each `length` floats (whole vectors) from source, `stride` apart.
RSSEG_INLINE void combine(const SparseRows& map, std::size_t i, const float* source, std::size_t stride, std::size_t length,
                          float* out) {
    const int begin = map.begin[i], end = map.begin[i + 1];
    std::size_t at = 0;
    for (; at + 4 * kLanes <= length; at += 4 * kLanes) {
        Vec sums[4] = {};
        for (int j = begin; j < end; ++j) {
            const Vec c = splat(map.coefficient[j]);
            const float* row = source + static_cast<std::size_t>(map.index[j]) * stride + at;
            RSSEG_UNROLL
            for (int v = 0; v < 4; ++v) sums[v] += c * load(row + v * kLanes);
        }
        RSSEG_UNROLL
        for (int v = 0; v < 4; ++v) store(out + at + static_cast<std::size_t>(v * kLanes), sums[v]);
    }
    for (; at + 2 * kLanes <= length; at += 2 * kLanes) {
        Vec first = {}, second = {};
        for (int j = begin; j < end; ++j) {
            const Vec c = splat(map.coefficient[j]);
            const float* row = source + static_cast<std::size_t>(map.index[j]) * stride + at;
            first += c * load(row);
            second += c * load(row + kLanes);
        }
        store(out + at, first);
        store(out + at + kLanes, second);
    }
    for (; at < length; at += kLanes) {
        Vec total = {};
        for (int j = begin; j < end; ++j)
            total += splat(map.coefficient[j]) * load(source + static_cast<std::size_t>(map.index[j]) * stride + at);
        store(out + at, total);
    }
}

// target[pixel][channel] = source[channel][pixel] for one row of `pixels`; planes lie so many floats apart, channels from
// `channels` to `padded` become zero.
RSSEG_INLINE void channels_last(const float* source, std::size_t plane, std::size_t pixels, std::size_t channels, std::size_t padded,
                                float* target) {
    std::size_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
        std::size_t x = 0;
        for (; x + kLanes <= pixels; x += kLanes) transpose(source + c * plane + x, plane, target + x * padded + c, padded);
        for (; x < pixels; ++x)
            for (std::size_t i = c; i < c + kLanes; ++i) target[x * padded + i] = source[i * plane + x];
    }
    for (; c < padded; ++c)
        for (std::size_t x = 0; x < pixels; ++x) target[x * padded + c] = c < channels ? source[c * plane + x] : 0;
}

// R pixels times one block of filters.
template <int R>
RSSEG_INLINE void multiply(const float* const* pixels, const float* weights, std::size_t channels, float* const* out) {
    Vec sums[R][2] = {};
    const float* pixel[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) pixel[r] = pixels[r];
    const float* next = weights + channels * kFilters;  // those of the next pair of kinds
    for (std::size_t c = 0; c < channels; ++c, weights += kFilters, next += kFilters) {
        prefetch(next);
        if (kFilters > kLine) prefetch(next + kLine);
        const Vec first = load(weights), second = load(weights + kLanes);
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec p = splat(pixel[r][c]);
            sums[r][0] += p * first;
            sums[r][1] += p * second;
        }
    }
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        store(out[r], sums[r][0]);
        store(out[r] + kLanes, sums[r][1]);
    }
}

template <int R>
RSSEG_INLINE void multiply_some(int count, const float* const* pixels, const float* weights, std::size_t channels, float* const* out) {
    if (count == R) {
        multiply<R>(pixels, weights, channels, out);
        return;
    }
    if constexpr (R > 1) multiply_some<R - 1>(count, pixels, weights, channels, out);
}

// The products of one image and some blocks of filters whose kind of rows is i: [block][row product][column product][kFilters].
void products(const Conv3x3& p, int i, const float* sums, std::size_t padded, const float* weights, std::size_t blocks, float* out) {
    const std::size_t across = p.columns.sums.count, wide = static_cast<std::size_t>(p.columns.products[kKinds]);
    const std::size_t block = kKinds * kKinds * p.channels * kFilters;
    const int first = p.rows.products[i], rows = p.rows.products[i + 1] - first;
    const std::size_t made = static_cast<std::size_t>(rows) * wide * kFilters;
    weights += static_cast<std::size_t>(i) * kKinds * p.channels * kFilters;
    for (int j = 0; j < kKinds; ++j, weights += p.channels * kFilters) {
        int row = 0, column = p.columns.products[j];
        const int count = rows * (p.columns.products[j + 1] - column);
        const int passes = (count + kRows - 1) / kRows;  // of equal size: the last one would be slow if it were short
        const float* pixels[kRows];
        float* results[kRows];
        for (int k = 0; k < passes; ++k) {
            const int n = count * (k + 1) / passes - count * k / passes;
            for (int r = 0; r < n; ++r) {
                const auto sum_row = static_cast<std::size_t>(p.rows.sum_of[first + row]);
                const auto sum_column = static_cast<std::size_t>(p.columns.sum_of[column]);
                pixels[r] = sums + (sum_row * across + sum_column) * padded;
                results[r] = out + (static_cast<std::size_t>(row) * wide + static_cast<std::size_t>(column)) * kFilters;
                if (++column == p.columns.products[j + 1]) column = p.columns.products[j], ++row;
            }
            for (std::size_t b = 0; b < blocks; ++b) {
                multiply_some<kRows>(n, pixels, weights + b * block, p.channels, results);
                for (int r = 0; r < n; ++r) results[r] += made;
            }
        }
    }
}

// One row of outputs [width][kFilters] to its place in the planes, with the addend, negative values made zero.
void write(const Conv3x3& p, std::size_t image, std::size_t first, std::size_t y, const float* row, float* turned) {
    const std::size_t height = p.rows.outputs.count, width = p.columns.outputs.count;
    const std::size_t padded = up(width, kLanes);
    std::size_t x = 0;
    for (; x + kLanes <= width; x += kLanes)
        for (std::size_t f = 0; f < kFilters; f += kLanes) transpose(row + x * kFilters + f, kFilters, turned + f * padded + x, padded);
    for (; x < width; ++x)
        for (std::size_t f = 0; f < kFilters; ++f) turned[f * padded + x] = row[x * kFilters + f];
    const std::size_t added_image = p.addend_batch == 1 ? 0 : image, added_row = p.addend_height == 1 ? 0 : y;
    for (std::size_t f = 0; f < kFilters && first + f < p.filters; ++f) {
        const float* addend = p.addend + ((added_image * p.filters + first + f) * p.addend_height + added_row) * p.addend_width;
        const float* values = turned + f * padded;
        float* out = p.output + ((image * p.filters + first + f) * height + y) * width;
        const Vec same = splat(addend[0]);
        const bool single = p.addend_width == 1;
        for (x = 0; x + kLanes <= width; x += kLanes)
            store(out + x, max(load(values + x) + (single ? same : load(addend + x)), Vec{}));
        for (; x < width; ++x) {
            const float value = values[x] + addend[single ? 0 : x];
            out[x] = value < 0 ? 0 : value;  // a NaN stays one
        }
    }
}

}  // namespace

bool conv3x3_pack(const Conv3x3& p, const Threads& threads) {
    const std::size_t block = kKinds * kKinds * p.channels * kFilters;
    auto pack = [&](std::size_t index) {
        float* target = p.packed + index * block;
        for (std::size_t f = 0; f < kFilters; ++f) {
            const std::size_t filter = index * kFilters + f;
            for (std::size_t c = 0; c < p.channels; ++c) {
                float columns[3][kKinds] = {};
                const float* weight = p.weight + (filter * p.channels + c) * 9;
                for (int y = 0; y < 3 && filter < p.filters; ++y)
                    for (int j = 0; j < kKinds; ++j)
                        for (int x = 0; x < 3; ++x) columns[y][j] += p.columns.taps[j * 3 + x] * weight[y * 3 + x];
                for (int i = 0; i < kKinds; ++i)
                    for (int j = 0; j < kKinds; ++j) {
                        const float* taps = p.rows.taps + i * 3;
                        target[(static_cast<std::size_t>(i * kKinds + j) * p.channels + c) * kFilters + f] =
                            taps[0] * columns[0][j] + taps[1] * columns[1][j] + taps[2] * columns[2][j];
                    }
            }
        }
    };
    parallel_for(threads, up(p.filters, kFilters) / kFilters, pack);
    return true;
}

bool conv3x3(const Conv3x3& p, const Threads& threads) {
    // Pixels whose distance is a power of two would evict each other.
    const std::size_t whole = up(p.channels, kLanes), padded = whole % 256 ? whole : whole + kLine;
    const std::size_t row = p.columns.pixels * padded, image = p.rows.pixels * row;
    const std::size_t across = p.columns.sums.count, summed = p.rows.sums.count * across * padded;
    const std::size_t high = static_cast<std::size_t>(p.rows.products[kKinds]), wide = static_cast<std::size_t>(p.columns.products[kKinds]);
    const std::size_t width = p.columns.outputs.count, plane = p.rows.pixels * p.columns.pixels;
    std::size_t tallest = 0;  // row products of a kind
    for (int kind = 0; kind < kKinds; ++kind) {
        const auto rows = static_cast<std::size_t>(p.rows.products[kind + 1] - p.rows.products[kind]);
        tallest = rows > tallest ? rows : tallest;
    }
    const std::size_t fit = kTogether / summed, most = fit < 1 ? 1 : fit < p.batch ? fit : p.batch;
    const std::size_t blocks = up(p.filters, kFilters) / kFilters;
    Scratch shared(most * (image + summed));
    if (!shared) return false;
    float *turned = shared.take(most * image), *sums = shared.take(most * summed);
    volatile bool failed = false;
    std::size_t first = 0, count = 0;

    auto turn = [&](std::size_t index) {
        const std::size_t b = index / p.rows.pixels, y = index % p.rows.pixels;
        channels_last(p.x + (first + b) * p.channels * plane + y * p.columns.pixels, plane, p.columns.pixels, p.channels, padded,
                      turned + b * image + y * row);
    };
    auto sum = [&](std::size_t index) {
        const std::size_t b = index / p.rows.sums.count, i = index % p.rows.sums.count;
        Scratch scratch(row);
        if (!scratch) {
            failed = true;
            return;
        }
        float* line = scratch.take(row);
        combine(p.rows.sums, i, turned + b * image, row, row, line);
        for (std::size_t j = 0; j < across; ++j)
            combine(p.columns.sums, j, line, padded, padded, sums + b * summed + (i * across + j) * padded);
    };
    auto filter = [&](std::size_t index) {
        const std::size_t begin = index / count * kBlocks, b = index % count;
        const std::size_t some = blocks - begin < kBlocks ? blocks - begin : kBlocks;
        Scratch scratch(some * (tallest * wide + high * width) * kFilters + (2 * width + kLanes) * kFilters);
        if (!scratch) {
            failed = true;
            return;
        }
        float *made = scratch.take(some * tallest * wide * kFilters), *columns = scratch.take(some * high * width * kFilters);
        float *line = scratch.take(width * kFilters), *spare = scratch.take((width + kLanes) * kFilters);
        for (int kind = 0; kind < kKinds; ++kind) {
            const auto top = static_cast<std::size_t>(p.rows.products[kind]), bottom = static_cast<std::size_t>(p.rows.products[kind + 1]);
            products(p, kind, sums + b * summed, padded, p.packed + begin * kKinds * kKinds * p.channels * kFilters, some, made);
            const float* row_made = made;
            for (std::size_t block = 0; block < some; ++block)
                for (std::size_t i = top; i < bottom; ++i, row_made += wide * kFilters)
                    for (std::size_t x = 0; x < width; ++x)
                        combine(p.columns.outputs, x, row_made, kFilters, kFilters, columns + ((block * high + i) * width + x) * kFilters);
        }
        for (std::size_t block = begin; block < begin + some; ++block, columns += high * width * kFilters) {
            for (std::size_t y = 0; y < p.rows.outputs.count; ++y) {
                combine(p.rows.outputs, y, columns, width * kFilters, width * kFilters, line);
                write(p, first + b, block * kFilters, y, line, spare);
            }
        }
    };
    for (; first < p.batch && !failed; first += count) {
        count = p.batch - first < most ? p.batch - first : most;
        parallel_for(threads, count * p.rows.pixels, turn);
        parallel_for(threads, count * p.rows.sums.count, sum);
        if (!failed) parallel_for(threads, up(blocks, kBlocks) / kBlocks * count, filter);
    }
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
