// One query after the other: the four corners of every sample are gathered with one weight each, and a head's channels
// stay in registers over all levels and points.
#include "cpu.h"

#include <math.h>

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

// A corner of a bilinear sample: where its channels begin, and how much it counts. Outside of the level it counts nothing.
struct Corner {
    const float* pixel;
    float weight;
};

int corners_of(const MSDeformAttn& p, const float* image, std::int64_t height, std::int64_t width, const float* location,
               float weight, Corner* corners) {
    const float x = location[0] * static_cast<float>(width) - 0.5f, y = location[1] * static_cast<float>(height) - 0.5f;
    // Written so that a NaN is outside too.
    if (!(x > -1.0f && y > -1.0f && x < static_cast<float>(width) && y < static_cast<float>(height))) return 0;
    const float left = floorf(x), above = floorf(y), right_share = x - left, below_share = y - above;
    const auto column = static_cast<std::int64_t>(left), row = static_cast<std::int64_t>(above);
    int n = 0;
    for (int corner = 0; corner < 4; ++corner) {
        const std::int64_t cx = column + (corner & 1), cy = row + (corner >> 1);
        if (cx < 0 || cy < 0 || cx >= width || cy >= height) continue;
        const float share = ((corner & 1) ? right_share : 1 - right_share) * ((corner >> 1) ? below_share : 1 - below_share);
        corners[n++] = {image + static_cast<std::size_t>(cy * width + cx) * p.heads * p.depth, share * weight};
    }
    return n;
}

template <int V>
RSSEG_INLINE void gather(const Corner* corners, int count, std::size_t c, float* out) {
    Vec sums[V] = {};
    for (int i = 0; i < count; ++i) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) sums[v] += load(corners[i].pixel + c + v * kLanes) * corners[i].weight;
    }
    RSSEG_UNROLL
    for (int v = 0; v < V; ++v) store(out + c + v * kLanes, sums[v]);
}

void attend(const MSDeformAttn& p, std::size_t index, Corner* corners) {
    const std::size_t b = index / p.queries, samples = p.levels * p.points;
    for (std::size_t m = 0; m < p.heads; ++m) {
        int count = 0;
        for (std::size_t s = 0; s < samples; ++s) {
            const std::size_t level = s / p.points, place = (index * p.heads + m) * samples + s;
            const std::size_t first = b * p.pixels + static_cast<std::size_t>(p.level_start_index[level]);
            count += corners_of(p, p.value + (first * p.heads + m) * p.depth, p.spatial_shapes[2 * level],
                                p.spatial_shapes[2 * level + 1], p.sampling_locations + 2 * place,
                                p.attention_weights[place], corners + count);
        }
        float* out = p.output + (index * p.heads + m) * p.depth;
        std::size_t c = 0;
        for (; c + 4 * kLanes <= p.depth; c += 4 * kLanes) gather<4>(corners, count, c, out);
        for (; c + kLanes <= p.depth; c += kLanes) gather<1>(corners, count, c, out);
        for (; c < p.depth; ++c) {
            float total = 0;
            for (int i = 0; i < count; ++i) total += corners[i].pixel[c] * corners[i].weight;
            out[c] = total;
        }
    }
}

}  // namespace

bool ms_deform_attn(const MSDeformAttn& p, const Threads& threads) {
    constexpr std::size_t kQueries = 32;  // of a task
    const std::size_t all = p.batch * p.queries;
    volatile bool failed = false;
    auto task = [&](std::size_t t) {
        auto* corners = static_cast<Corner*>(std::malloc(4 * p.levels * p.points * sizeof(Corner)));
        if (!corners) {
            failed = true;
            return;
        }
        for (std::size_t i = t * kQueries; i < all && i < (t + 1) * kQueries; ++i) attend(p, i, corners);
        std::free(corners);
    };
    parallel_for(threads, (all + kQueries - 1) / kQueries, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
