// Three steps, each parallel: rows to queries, keys and values; a head and some of its queries to what they read, whose scores
// stay in the caches; rows to the sum.
#include "cpu.h"

#include "../common/linear.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

// Scores to e^(score - highest), and one over their sum.
RSSEG_INLINE float soften(float* scores, std::size_t count) {
    const std::size_t whole = count / kLanes * kLanes;
    float top = scores[0];
    Vec tops = splat(top);
    for (std::size_t i = 0; i < whole; i += kLanes) tops = max(load(scores + i), tops);
    top = highest(tops);
    for (std::size_t i = whole; i < count; ++i) top = scores[i] > top ? scores[i] : top;
    Vec total = {};
    for (std::size_t i = 0; i < whole; i += kLanes) {
        const Vec p = exp(load(scores + i) - top);
        store(scores + i, p);
        total += p;
    }
    float rest = 0;
    if (whole < count) {
        const int left = static_cast<int>(count - whole);
        const Vec p = exp(load_partial(scores + whole, left) - top);
        store_partial(scores + whole, p, left);
        for (int i = 0; i < left; ++i) rest += scores[whole + static_cast<std::size_t>(i)];
    }
    return 1 / (sum(total) + rest);
}

}  // namespace

bool self_attention_pack(const SelfAttention& p, const Threads& threads) {
    auto into = [&](std::size_t panel) { pack_panel(p.weight, 3 * p.channels, p.channels, 3 * p.channels, panel, p.packed); };
    auto out = [&](std::size_t panel) { pack_panel(p.out_weight, p.channels, p.channels, p.channels, panel, p.out_packed); };
    parallel_for(threads, panels(3 * p.channels), into);
    parallel_for(threads, panels(p.channels), out);
    return true;
}

bool self_attention(const SelfAttention& p, const Threads& threads) {
    const std::size_t all = p.batch * p.length, c = p.channels, depth = c / p.heads, stride = row_stride(c), wide = row_stride(3 * c);
    const float scale = 1 / sqrtf(static_cast<float>(depth));
    Scratch shared(all * (wide + stride));
    if (!shared) return false;
    float *projected = shared.take(all * wide), *mixed = shared.take(all * stride);
    volatile bool failed = false;

    const std::size_t row_tasks = tasks_of(all, kTaskRows);
    auto project = [&](std::size_t index) {
        const std::size_t begin = all * index / row_tasks, count = all * (index + 1) / row_tasks - begin;
        Scratch scratch(count * stride);
        if (!scratch) {
            failed = true;
            return;
        }
        float *rows = scratch.take(count * stride), *out = projected + begin * wide;
        for (std::size_t r = 0; r < count; ++r) {
            std::memcpy(rows + r * stride, p.x + (begin + r) * c, c * sizeof(float));
            layer_norm(rows + r * stride, c, p.norm_weight, p.norm_bias);
        }
        multiply_rows(rows, stride, count, p.packed, c, 3 * c, out, wide);
        for (std::size_t r = 0; r < count; ++r) {
            const float* addend = p.addend + (p.one_addend ? 0 : (begin + r) % p.length) * 3 * c;
            for (std::size_t i = 0; i < 3 * c; ++i) out[r * wide + i] += addend[i];
        }
    };
    // A task packs its head's keys and values: as few as give eight threads work.
    const std::size_t pairs = p.batch * p.heads, wanted = (pairs + 7) / pairs, query_tasks = wanted < p.length ? wanted : p.length;
    auto attend = [&](std::size_t index) {
        const std::size_t b = index / query_tasks / p.heads, head = index / query_tasks % p.heads, part = index % query_tasks;
        const std::size_t begin = p.length * part / query_tasks, end = p.length * (part + 1) / query_tasks;
        const std::size_t deep = row_stride(depth), broad = row_stride(p.length);
        Scratch scratch(panels(p.length) * kPanel * depth + panels(depth) * kPanel * p.length + kTaskRows * (2 * deep + broad));
        if (!scratch) {
            failed = true;
            return;
        }
        float *keys = scratch.take(panels(p.length) * kPanel * depth), *values = scratch.take(panels(depth) * kPanel * p.length);
        float *queries = scratch.take(kTaskRows * deep), *scores = scratch.take(kTaskRows * broad), *out = scratch.take(kTaskRows * deep);
        const float* source = projected + b * p.length * wide + head * depth;
        pack_transposed(source + c, wide, p.length, depth, keys);
        for (std::size_t panel = 0; panel < panels(depth); ++panel) pack_panel(source + 2 * c, wide, p.length, depth, panel, values);
        for (std::size_t first = begin; first < end; first += kTaskRows) {
            const std::size_t count = end - first < kTaskRows ? end - first : kTaskRows;
            float share[kTaskRows];
            for (std::size_t r = 0; r < count; ++r)
                for (std::size_t d = 0; d < depth; ++d) queries[r * deep + d] = source[(first + r) * wide + d] * scale;
            multiply_rows(queries, deep, count, keys, depth, p.length, scores, broad);
            for (std::size_t r = 0; r < count; ++r) share[r] = soften(scores + r * broad, p.length);
            multiply_rows(scores, broad, count, values, p.length, depth, out, deep);
            for (std::size_t r = 0; r < count; ++r)
                for (std::size_t d = 0; d < depth; ++d)
                    mixed[(b * p.length + first + r) * stride + head * depth + d] = out[r * deep + d] * share[r];
        }
    };
    auto join = [&](std::size_t index) {
        const std::size_t begin = all * index / row_tasks, count = all * (index + 1) / row_tasks - begin;
        Scratch scratch(count * stride);
        if (!scratch) {
            failed = true;
            return;
        }
        float* out = scratch.take(count * stride);
        multiply_rows(mixed + begin * stride, stride, count, p.out_packed, c, c, out, stride);
        for (std::size_t r = 0; r < count; ++r) {
            float *row = out + r * stride, *target = p.output + (begin + r) * c;
            const float* x = p.x + (begin + r) * c;
            for (std::size_t i = 0; i < c; ++i) row[i] += p.out_bias[i];
            layer_norm(row, c, p.out_norm_weight, p.out_norm_bias);
            for (std::size_t i = 0; i < c; ++i) target[i] = x[i] + row[i];
        }
    };
    parallel_for(threads, row_tasks, project);
    if (!failed) parallel_for(threads, p.batch * p.heads * query_tasks, attend);
    if (!failed) parallel_for(threads, row_tasks, join);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
