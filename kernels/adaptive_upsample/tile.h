// What adaptive upsampling and its classifying form share: folding a tile's kernels, and convolving a tile with them.
// Included by vector code only.
#pragma once

#include "../common/simd.h"
#include "cpu.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr std::size_t kTileRows = 4;    // quads
constexpr std::size_t kTileGroups = 8;  // of four quads each

// A rectangle of quads: one task.
struct Tile {
    std::size_t batch, first_row, rows, first_group, groups;

    std::size_t first_column() const { return first_group * kQuads; }
    std::size_t columns() const { return groups * kQuads; }
};

// How an image is cut into tiles of about equal size.
struct Tiling {
    explicit Tiling(const AdaptiveUpsample& p)
        : height(p.height), groups((p.width + kQuads - 1) / kQuads), down((height + kTileRows - 1) / kTileRows),
          across((groups + kTileGroups - 1) / kTileGroups), count(p.batch * down * across) {}

    Tile tile(std::size_t index) const {
        const std::size_t y = index / across % down, x = index % across;
        const std::size_t first_row = y * height / down, first_group = x * groups / across;
        return {index / across / down, first_row, (y + 1) * height / down - first_row, first_group,
                (x + 1) * groups / across - first_group};
    }

    std::size_t height, groups, down, across, count;
};

// Folded weights of one group of quads: [window * window][kPixels].
inline std::size_t folded_size(const FoldTables& f) { return static_cast<std::size_t>(f.window * f.window * kPixels); }

// Folds the kernels of four neighbouring quads. `spare` holds (taps + window) * taps * kPixels floats.
RSSEG_INLINE void fold_group(const AdaptiveUpsample& p, std::size_t b, std::size_t row, std::size_t group, float* spare,
                             float* folded) {
    const FoldTables& f = p.fold;
    const int area = f.taps * f.taps;
    float* lanes = spare;                    // [taps * taps][kPixels]
    float* half = spare + area * kPixels;    // [window][taps][kPixels], folded along y
    for (int lane = 0; lane < kPixels; ++lane) {
        const std::size_t quad = group * kQuads + static_cast<std::size_t>(lane / 4);
        if (quad >= p.width) {
            for (int o = 0; o < area; ++o) lanes[o * kPixels + lane] = 0;
            continue;
        }
        const std::size_t y = 2 * row + static_cast<std::size_t>((lane >> 1) & 1), x = 2 * quad + static_cast<std::size_t>(lane & 1);
        const float* kernel = p.kernel + ((b * 2 * p.height + y) * 2 * p.width + x) * static_cast<std::size_t>(area);
        for (int o = 0; o < area; ++o) lanes[o * kPixels + lane] = kernel[o];
    }
    const float *rows = f.rows[row], *columns = f.columns[group];
    const int *row_range = f.row_ranges[row], *column_range = f.column_ranges[group];
    for (int m = 0; m < f.window; ++m) {
        for (int j = 0; j < f.taps; ++j) {
            for (int l = 0; l < kPixels; l += kLanes) {
                Vec total = {};
                for (int i = row_range[2 * m]; i < row_range[2 * m + 1]; ++i)
                    total += load(rows + (m * f.taps + i) * kPixels + l) * load(lanes + (i * f.taps + j) * kPixels + l);
                store(half + (m * f.taps + j) * kPixels + l, total);
            }
        }
        for (int n = 0; n < f.window; ++n) {
            for (int l = 0; l < kPixels; l += kLanes) {
                Vec total = {};
                for (int j = column_range[2 * n]; j < column_range[2 * n + 1]; ++j)
                    total += load(columns + (n * f.taps + j) * kPixels + l) * load(half + (m * f.taps + j) * kPixels + l);
                store(folded + (m * f.window + n) * kPixels + l, total);
            }
        }
    }
}

RSSEG_INLINE void fold_tile(const AdaptiveUpsample& p, const Tile& tile, float* spare, float* folded) {
    for (std::size_t y = 0; y < tile.rows; ++y)
        for (std::size_t g = 0; g < tile.groups; ++g)
            fold_group(p, tile.batch, tile.first_row + y, tile.first_group + g, spare,
                       folded + (y * tile.groups + g) * folded_size(p.fold));
}

// Rows and columns of features that a tile's windows touch.
RSSEG_INLINE std::size_t rows_touched(const Tile& t, const FoldTables& f) { return t.rows + static_cast<std::size_t>(f.window) - 1; }
RSSEG_INLINE std::size_t columns_touched(const Tile& t, const FoldTables& f) {
    return t.columns() + static_cast<std::size_t>(f.window) - 1;
}

// Copies one block of channels of the features that the tile touches to [rows][columns][block]: in place, neighbouring
// pixels are a power of two apart and evict each other from the caches. Zeros lie outside of the image.
RSSEG_INLINE void pack(const float* features, std::size_t height, std::size_t width, std::size_t channels, const Tile& tile,
                       const FoldTables& f, std::size_t first, std::size_t block, float* packed) {
    const std::size_t filled = channels - first < block ? channels - first : block;
    for (std::size_t y = 0; y < rows_touched(tile, f); ++y) {
        const std::ptrdiff_t row = window_start(tile.first_row + y, f.window);
        for (std::size_t x = 0; x < columns_touched(tile, f); ++x, packed += block) {
            const std::ptrdiff_t column = window_start(tile.first_column() + x, f.window);
            const bool inside = row >= 0 && column >= 0 && row < static_cast<std::ptrdiff_t>(height) &&
                                column < static_cast<std::ptrdiff_t>(width);
            if (!inside) {
                std::memset(packed, 0, block * sizeof(float));
                continue;
            }
            const auto pixel = static_cast<std::size_t>(row) * width + static_cast<std::size_t>(column);
            std::memcpy(packed, features + pixel * channels + first, filled * sizeof(float));
            std::memset(packed + filled, 0, (block - filled) * sizeof(float));
        }
    }
}

// The four pixels of one quad over V vectors of channels.
template <int V>
RSSEG_INLINE void convolve_quad(const float* weights, const float* packed, std::size_t row_stride, int window,
                                Vec (&sums)[4][V]) {
    for (int i = 0; i < 4; ++i)
        for (int v = 0; v < V; ++v) sums[i][v] = Vec{};
    for (int m = 0; m < window; ++m, packed += row_stride) {
        const float* features = packed;
        for (int n = 0; n < window; ++n, features += V * kLanes, weights += kPixels) {
            Vec feature[V];
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) feature[v] = load(features + v * kLanes);
            RSSEG_UNROLL
            for (int i = 0; i < 4; ++i) {
                const Vec w = splat(weights[i]);
                RSSEG_UNROLL
                for (int v = 0; v < V; ++v) sums[i][v] += w * feature[v];
            }
        }
    }
}

// Calls sink(quad row, quad column, sums) for every quad of the tile that lies in the image, on one block of channels.
template <int V, class Sink>
RSSEG_INLINE void convolve_block(const Tile& tile, const FoldTables& f, std::size_t width, const float* folded,
                                 const float* packed, Sink& sink) {
    const std::size_t row_stride = columns_touched(tile, f) * V * kLanes;
    for (std::size_t y = 0; y < tile.rows; ++y) {
        for (std::size_t x = 0; x < tile.columns() && tile.first_column() + x < width; ++x) {
            const float* weights = folded + (y * tile.groups + x / kQuads) * folded_size(f) + x % kQuads * 4;
            Vec sums[4][V];
            convolve_quad<V>(weights, packed + y * row_stride + x * V * kLanes, row_stride, f.window, sums);
            sink(y, x, sums);
        }
    }
}

// Channels are cut into blocks of at most kWide vectors, of about equal size.
struct Blocks {
    explicit Blocks(std::size_t channels)
        : vectors((channels + kLanes - 1) / kLanes), count((vectors + kWide - 1) / kWide) {}
    std::size_t first(std::size_t block) const { return block * vectors / count; }  // in vectors
    std::size_t vectors, count;
};

// Convolves all channels of a tile, one block after the other: sink(quad row, quad column, first channel, sums).
template <class Sink>
RSSEG_INLINE void convolve_tile(const AdaptiveUpsample& p, const float* features, std::size_t channels, const Tile& tile,
                                const float* folded, float* packed, Sink& sink) {
    const float* image = features + tile.batch * p.height * p.width * channels;
    const Blocks blocks(channels);
    for (std::size_t block = 0; block < blocks.count; ++block) {
        const std::size_t first = blocks.first(block) * kLanes, vectors = blocks.first(block + 1) - blocks.first(block);
        pack(image, p.height, p.width, channels, tile, p.fold, first, vectors * kLanes, packed);
        auto to_sink = [&](std::size_t y, std::size_t x, const auto& sums) { sink(y, x, first, sums); };
        switch (vectors) {
            case 1: convolve_block<1>(tile, p.fold, p.width, folded, packed, to_sink); break;
            case 2: convolve_block<2>(tile, p.fold, p.width, folded, packed, to_sink); break;
            case 3: convolve_block<3>(tile, p.fold, p.width, folded, packed, to_sink); break;
            default: convolve_block<kWide>(tile, p.fold, p.width, folded, packed, to_sink); break;
        }
    }
}

// Floats that one task needs for folding and packing; take them in this order.
struct TileScratch {
    TileScratch(const Tile& t, const FoldTables& f)
        : spare(static_cast<std::size_t>((f.taps + f.window) * f.taps * kPixels)),
          folded(t.rows * t.groups * folded_size(f)),
          packed(rows_touched(t, f) * columns_touched(t, f) * kWide * kLanes) {}
    std::size_t total() const { return spare + folded + packed; }
    std::size_t spare, folded, packed;
};

// The pixel (0..3) of a quad in the output image, counted in pixels.
RSSEG_INLINE std::size_t output_pixel(const AdaptiveUpsample& p, const Tile& t, std::size_t y, std::size_t x, int pixel) {
    const std::size_t row = 2 * (t.first_row + y) + static_cast<std::size_t>(pixel >> 1);
    const std::size_t column = 2 * (t.first_column() + x) + static_cast<std::size_t>(pixel & 1);
    return (t.batch * 2 * p.height + row) * 2 * p.width + column;
}

}  // namespace
}  // namespace RSSEG_ISA
}  // namespace rsseg
