// See fold.h for the arithmetic and tile.h for the loops.
#include "cpu.h"

#include "tile.h"

namespace rsseg {
namespace RSSEG_ISA {

bool adaptive_upsample(const AdaptiveUpsample& p, const Threads& threads) {
    const Tiling tiling(p);
    volatile bool failed = false;
    auto task = [&](std::size_t index) {
        const Tile tile = tiling.tile(index);
        const TileScratch sizes(tile, p.fold);
        Scratch scratch(sizes.total());
        if (!scratch) {
            failed = true;
            return;
        }
        float* spare = scratch.take(sizes.spare);
        float* folded = scratch.take(sizes.folded);
        float* packed = scratch.take(sizes.packed);
        fold_tile(p, tile, spare, folded);
        auto write = [&](std::size_t y, std::size_t x, std::size_t first, const auto& sums) {
            constexpr int V = sizeof(sums[0]) / sizeof(Vec);
            for (int i = 0; i < 4; ++i) {
                float* out = p.output + output_pixel(p, tile, y, x, i) * p.channels + first;
                if (first + V * kLanes <= p.channels) {
                    RSSEG_UNROLL
                    for (int v = 0; v < V; ++v) store(out + v * kLanes, sums[i][v]);
                    continue;
                }
                for (int v = 0; v < V; ++v) {
                    const std::size_t begin = first + static_cast<std::size_t>(v * kLanes);
                    const std::size_t left = begin < p.channels ? p.channels - begin : 0;
                    store_partial(out + v * kLanes, sums[i][v], static_cast<int>(left < kLanes ? left : kLanes));
                }
            }
        };
        convolve_tile(p, p.features, p.channels, tile, folded, packed, write);
    };
    parallel_for(threads, tiling.count, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
