// Keys and values of the words that are not hidden are packed, then each task takes some rows from the first LayerNorm to
// the sum: what lies between never leaves the core's caches.
#include "cpu.h"

#include "../common/linear.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

// So far below the best of its head, a word's share is 0 whatever the products are, which are some hundreds at most.
constexpr float kHidden = 5000;

// Places of one image's words that any head may read, head by head; returns how many words there are.
std::size_t seen_words(const CrossAttention& p, const float* scores, std::size_t* places) {
    std::size_t count = 0;
    for (std::size_t word = 0; word < p.words; ++word) {
        bool seen = false;
        for (std::size_t head = 0; head < p.heads && !seen; ++head) {
            const float* row = scores + head * p.words;
            float best = row[0];
            for (std::size_t i = 1; i < p.words; ++i) best = row[i] > best ? row[i] : best;
            seen = !(row[word] < best - kHidden);  // a NaN is seen
        }
        if (seen) places[count++] = word;
    }
    for (std::size_t head = 1; head < p.heads; ++head)
        for (std::size_t i = 0; i < count; ++i) places[head * count + i] = head * p.words + places[i];
    return count;
}

// A row of scores to shares, for each head.
RSSEG_INLINE void soften(float* row, const float* added, std::size_t heads, std::size_t words) {
    const std::size_t all = heads * words;
    for (std::size_t head = 0; head < heads; ++head) {
        float *first = row + head * words, top = first[0] + added[head * words];
        for (std::size_t i = 0; i < words; ++i) {
            first[i] += added[head * words + i];
            top = first[i] > top ? first[i] : top;
        }
        for (std::size_t i = 0; i < words; ++i) first[i] -= top;
    }
    for (std::size_t i = 0; i < all; i += kLanes) store(row + i, exp(load(row + i)));  // the row is whole vectors
    for (std::size_t head = 0; head < heads; ++head) {
        float *first = row + head * words, total = 0;
        for (std::size_t i = 0; i < words; ++i) total += first[i];
        for (std::size_t i = 0; i < words; ++i) first[i] *= 1 / total;
    }
}

}  // namespace

bool cross_attention(const CrossAttention& p, const Threads& threads) {
    const std::size_t c = p.channels, most = p.heads * p.words, tasks = tasks_of(p.length, kTaskRows), stride = row_stride(c);
    const std::size_t key_floats = panels(most) * kPanel * c, value_floats = panels(c) * kPanel * most;
    std::size_t* places = static_cast<std::size_t*>(std::malloc(most * sizeof(std::size_t)));
    Scratch shared(key_floats + value_floats + most * c + most);
    volatile bool failed = !places || !shared;
    if (!failed) {
        float *keys = shared.take(key_floats), *values = shared.take(value_floats), *taken = shared.take(most * c), *added = shared.take(most);
        for (std::size_t b = 0; b < p.batch && !failed; ++b) {
            const std::size_t words = seen_words(p, p.scores + b * most, places), all = p.heads * words, wide = row_stride(all);
            for (std::size_t i = 0; i < all; ++i) {
                std::memcpy(taken + i * c, p.keys + (b * most + places[i]) * c, c * sizeof(float));
                added[i] = p.scores[b * most + places[i]];
            }
            pack_transposed(taken, c, all, c, keys);
            for (std::size_t i = 0; i < all; ++i) std::memcpy(taken + i * c, p.values + (b * most + places[i]) * c, c * sizeof(float));
            for (std::size_t panel = 0; panel < panels(c); ++panel) pack_panel(taken, c, all, c, panel, values);
            auto task = [&](std::size_t index) {
                const std::size_t begin = p.length * index / tasks, count = p.length * (index + 1) / tasks - begin;
                Scratch scratch(count * (stride + wide));
                if (!scratch) {
                    failed = true;
                    return;
                }
                float *rows = scratch.take(count * stride), *share = scratch.take(count * wide);
                const float* x = p.x + (b * p.length + begin) * c;
                for (std::size_t r = 0; r < count; ++r) {
                    float* row = rows + r * stride;
                    const float* position = p.position + (begin + r) * c;
                    std::memcpy(row, x + r * c, c * sizeof(float));
                    layer_norm(row, c, p.norm_weight, p.norm_bias);
                    for (std::size_t i = 0; i < c; ++i) row[i] += position[i];
                }
                multiply_rows(rows, stride, count, keys, c, all, share, wide);
                for (std::size_t r = 0; r < count; ++r) soften(share + r * wide, added, p.heads, words);
                multiply_rows(share, wide, count, values, all, c, rows, stride);
                for (std::size_t r = 0; r < count; ++r) {
                    float *row = rows + r * stride, *target = p.output + (b * p.length + begin + r) * c;
                    for (std::size_t i = 0; i < c; ++i) row[i] += p.out_bias[i];
                    layer_norm(row, c, p.out_norm_weight, p.out_norm_bias);
                    for (std::size_t i = 0; i < c; ++i) target[i] = x[r * c + i] + row[i];
                }
            };
            parallel_for(threads, tasks, task);
        }
    }
    std::free(places);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
