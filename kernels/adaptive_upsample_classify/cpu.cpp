// The dot products with the text commute with the convolution: the low-resolution features are projected on the text
// once, and the Q projections are upsampled like channels. The C channels themselves only add to the squared length.
#include <math.h>

#include "../adaptive_upsample/cpu.h"
#include "../adaptive_upsample/tile.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

// projected[pixel][q] = <features[pixel], text[q]> for four pixels; text lies transposed, [C][padded].
template <int V>
RSSEG_INLINE void project(const float* const* features, const float* text, std::size_t channels, std::size_t padded,
                          std::size_t q, float* const* projected) {
    Vec sums[4][V] = {};
    for (std::size_t c = 0; c < channels; ++c) {
        Vec column[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) column[v] = load(text + c * padded + q + static_cast<std::size_t>(v * kLanes));
        RSSEG_UNROLL
        for (int i = 0; i < 4; ++i) {
            const Vec f = splat(features[i][c]);
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) sums[i][v] += f * column[v];
        }
    }
    RSSEG_UNROLL
    for (int i = 0; i < 4; ++i) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) store(projected[i] + q + v * kLanes, sums[i][v]);
    }
}

// Four pixels at a time; the last ones may repeat. projected is [pixels][padded].
void project_pixels(const AdaptiveUpsample& p, const float* text, std::size_t padded, std::size_t first, std::size_t end,
                    float* projected) {
    for (std::size_t pixel = first; pixel < end; pixel += 4) {
        const float* features[4];
        float* targets[4];
        for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t place = pixel + i < end ? pixel + i : end - 1;
            features[i] = p.features + place * p.channels;
            targets[i] = projected + place * padded;
        }
        std::size_t q = 0;
        for (; q + kWide * kLanes <= padded; q += kWide * kLanes)
            project<kWide>(features, text, p.channels, padded, q, targets);
        for (; q < padded; q += kLanes) project<1>(features, text, p.channels, padded, q, targets);
    }
}

}  // namespace

bool adaptive_upsample_classify(const AdaptiveUpsample& p, const Threads& threads) {
    const std::size_t padded = (p.classes + kLanes - 1) / kLanes * kLanes;
    const std::size_t pixels = p.batch * p.height * p.width;
    const std::size_t padded_channels = Blocks(p.channels).vectors * kLanes;
    Scratch shared(p.channels * padded + pixels * padded + padded + padded_channels);
    if (!shared) return false;
    float* text = shared.take(p.channels * padded);
    float* projected = shared.take(pixels * padded);
    float* offsets = shared.take(padded);  // <bias, text>
    float* bias = shared.take(padded_channels);
    std::memset(text, 0, p.channels * padded * sizeof(float));
    for (std::size_t q = 0; q < padded; ++q) {
        float total = 0;
        for (std::size_t c = 0; q < p.classes && c < p.channels; ++c) {
            text[c * padded + q] = p.text[q * p.channels + c];
            total += p.bias[c] * p.text[q * p.channels + c];
        }
        offsets[q] = total;
    }
    for (std::size_t c = 0; c < padded_channels; ++c) bias[c] = c < p.channels ? p.bias[c] : 0.0f;

    constexpr std::size_t kChunk = 256;  // pixels
    auto project_chunk = [&](std::size_t i) {
        project_pixels(p, text, padded, i * kChunk, (i + 1) * kChunk < pixels ? (i + 1) * kChunk : pixels, projected);
    };
    parallel_for(threads, (pixels + kChunk - 1) / kChunk, project_chunk);

    const Tiling tiling(p);
    volatile bool failed = false;
    auto task = [&](std::size_t index) {
        const Tile tile = tiling.tile(index);
        const TileScratch sizes(tile, p.fold);
        const std::size_t lengths_size = tile.rows * tile.columns() * 4 * kLanes;
        Scratch scratch(sizes.total() + lengths_size);
        if (!scratch) {
            failed = true;
            return;
        }
        float* spare = scratch.take(sizes.spare);
        float* folded = scratch.take(sizes.folded);
        float* packed = scratch.take(sizes.packed);
        float* lengths = scratch.take(lengths_size);  // squared, summed over channels but not yet over lanes
        std::memset(lengths, 0, lengths_size * sizeof(float));
        fold_tile(p, tile, spare, folded);

        auto measure = [&](std::size_t y, std::size_t x, std::size_t first, const auto& sums) {
            constexpr int V = sizeof(sums[0]) / sizeof(Vec);
            for (int i = 0; i < 4; ++i) {
                float* length = lengths + ((y * tile.columns() + x) * 4 + static_cast<std::size_t>(i)) * kLanes;
                Vec total = load(length);
                RSSEG_UNROLL
                for (int v = 0; v < V; ++v) {
                    const Vec f = sums[i][v] + load(bias + first + v * kLanes);
                    total += f * f;
                }
                store(length, total);
            }
        };
        convolve_tile(p, p.features, p.channels, tile, folded, packed, measure);

        auto write = [&](std::size_t y, std::size_t x, std::size_t first, const auto& sums) {
            constexpr int V = sizeof(sums[0]) / sizeof(Vec);
            for (int i = 0; i < 4; ++i) {
                const float* length = lengths + ((y * tile.columns() + x) * 4 + static_cast<std::size_t>(i)) * kLanes;
                const float norm = sqrtf(sum(load(length))), share = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
                float* out = p.output + output_pixel(p, tile, y, x, i) * p.classes + first;
                for (int v = 0; v < V; ++v) {
                    const std::size_t begin = first + static_cast<std::size_t>(v * kLanes);
                    const std::size_t left = begin < p.classes ? p.classes - begin : 0;
                    const Vec logits = (sums[i][v] + load(offsets + begin)) * share;
                    if (left >= kLanes)
                        store(out + v * kLanes, logits);
                    else
                        store_partial(out + v * kLanes, logits, static_cast<int>(left));
                }
            }
        };
        // The projections' padding is zeros, so the padded width serves as their number of channels.
        convolve_tile(p, projected, padded, tile, folded, packed, write);
    };
    parallel_for(threads, tiling.count, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
