// Each task takes some rows from the first LayerNorm to the sum: what lies between never leaves the core's caches, and a row
// is read by one thread alone.
#include "cpu.h"

#include "../common/linear.h"

namespace rsseg {
namespace RSSEG_ISA {
bool feed_forward_pack(const FeedForward& p, const Threads& threads) {
    auto first = [&](std::size_t panel) { pack_panel(p.weight1, p.hidden, p.channels, p.hidden, panel, p.packed1); };
    auto second = [&](std::size_t panel) { pack_panel(p.weight2, p.channels, p.hidden, p.channels, panel, p.packed2); };
    parallel_for(threads, panels(p.hidden), first);
    parallel_for(threads, panels(p.channels), second);
    return true;
}

bool feed_forward(const FeedForward& p, const Threads& threads) {
    const std::size_t tasks = tasks_of(p.rows, kTaskRows);
    volatile bool failed = false;
    auto task = [&](std::size_t index) {
        const std::size_t begin = p.rows * index / tasks, count = p.rows * (index + 1) / tasks - begin;
        const std::size_t stride = row_stride(p.channels), wide = row_stride(p.hidden);
        Scratch scratch(count * (2 * stride + wide));
        if (!scratch) {
            failed = true;
            return;
        }
        float *rows = scratch.take(count * stride), *hidden = scratch.take(count * wide), *out = scratch.take(count * stride);
        const float* x = p.x + begin * p.channels;
        for (std::size_t r = 0; r < count; ++r) {
            std::memcpy(rows + r * stride, x + r * p.channels, p.channels * sizeof(float));
            layer_norm(rows + r * stride, p.channels, p.norm_weight, p.norm_bias);
        }
        multiply_rows(rows, stride, count, p.packed1, p.channels, p.hidden, hidden, wide);
        for (std::size_t r = 0; r < count; ++r) {
            float* row = hidden + r * wide;
            std::size_t i = 0;
            for (; i + kLanes <= p.hidden; i += kLanes) store(row + i, max(load(row + i) + load(p.bias1 + i), Vec{}));
            for (; i < p.hidden; ++i) row[i] = row[i] + p.bias1[i] < 0 ? 0 : row[i] + p.bias1[i];  // a NaN stays one
            layer_norm(row, p.hidden, p.inner_weight, p.inner_bias);
        }
        multiply_rows(hidden, wide, count, p.packed2, p.hidden, p.channels, out, stride);
        for (std::size_t r = 0; r < count; ++r) {
            float* target = p.output + (begin + r) * p.channels;
            for (std::size_t c = 0; c < p.channels; ++c) target[c] = x[r * p.channels + c] + (out[r * stride + c] + p.bias2[c]);
        }
    };
    parallel_for(threads, tasks, task);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
