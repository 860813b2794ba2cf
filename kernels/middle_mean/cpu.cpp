// A plane at a time: the two rows in the middle of each square are added vector by vector, then the two columns picked.
#include "cpu.h"

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

// For a factor that is known, the compiler picks columns with shuffles; 0 is any.
template <std::size_t F>
void pick(const float* sums, std::size_t count, std::size_t factor, float* out) {
    const std::size_t step = F ? F : factor, first = step / 2 - 1;
    for (std::size_t x = 0; x < count; ++x) out[x] = 0.25f * (sums[x * step + first] + sums[x * step + first + 1]);
}

}  // namespace

bool middle_mean(const MiddleMean& p, const Threads& threads) {
    const std::size_t rows = p.height / p.factor, columns = p.width / p.factor;
    volatile bool failed = false;
    auto task = [&](std::size_t plane) {
        Scratch scratch(p.width);
        if (!scratch) {
            failed = true;
            return;
        }
        float* sums = scratch.take(p.width);
        for (std::size_t y = 0; y < rows; ++y) {
            const float* above = p.x + (plane * p.height + y * p.factor + p.factor / 2 - 1) * p.width;
            const float* below = above + p.width;
            std::size_t x = 0;
            for (; x + kLanes <= p.width; x += kLanes) store(sums + x, load(above + x) + load(below + x));
            for (; x < p.width; ++x) sums[x] = above[x] + below[x];
            float* out = p.output + (plane * rows + y) * columns;
            if (p.factor == 2)
                pick<2>(sums, columns, p.factor, out);
            else if (p.factor == 4)
                pick<4>(sums, columns, p.factor, out);
            else if (p.factor == 8)
                pick<8>(sums, columns, p.factor, out);
            else
                pick<0>(sums, columns, p.factor, out);
        }
    };
    parallel_for(threads, p.planes, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
