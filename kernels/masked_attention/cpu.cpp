// Flash attention on a CPU: scores exist for 64 keys and a few queries at a time. The mask logits are read once, into one
// bit a position, and a query skips every 64 keys of which it may see none. Keys and values are repacked head by head
// first: in place, a head's rows are a whole token apart, which no hardware prefetcher follows.
#include "cpu.h"

#include <math.h>  // not <cmath>: its float overloads are inline functions, shared between instruction sets

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr int kKeys = 64;       // keys of a block: one machine word of mask bits
constexpr int kMostRows = 64;   // queries of a task
constexpr int kRows = kWide == 4 ? 8 : 6;  // queries in registers: two vectors of scores each
constexpr float kLowest = -3.0e38f;

using Word = std::uint64_t;

std::size_t up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

// One bit a key; a row without any allowed key gets all of them.
void read_mask(const float* logits, std::size_t length, std::size_t words, Word* bits) {
    Word any = 0;
    for (std::size_t w = 0; w < words; ++w) {
        const float* first = logits + w * kKeys;
        const std::size_t count = length - w * kKeys < kKeys ? length - w * kKeys : kKeys;
        Word word = 0;
        for (std::size_t i = 0; i < count; ++i) word |= static_cast<Word>(first[i] >= 0.0f) << i;
        any |= bits[w] = word;
    }
    if (any) return;
    for (std::size_t w = 0; w < words; ++w) bits[w] = ~Word{0};
    if (length % kKeys) bits[words - 1] >>= kKeys - length % kKeys;
}

// scores[row][key] = <query row, key>; keys lie transposed, [depth][kKeys].
template <int R>
RSSEG_INLINE void score(const float* const* queries, const float* keys, std::size_t depth, float* const* scores) {
    constexpr int V = kLanes * 2 <= kKeys ? 2 : 1;
    for (int k = 0; k < kKeys; k += V * kLanes) {
        Vec sums[R][V] = {};
        for (std::size_t c = 0; c < depth; ++c) {
            Vec column[V];
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) column[v] = load(keys + c * kKeys + k + v * kLanes);
            RSSEG_UNROLL
            for (int r = 0; r < R; ++r) {
                const Vec q = splat(queries[r][c]);
                RSSEG_UNROLL
                for (int v = 0; v < V; ++v) sums[r][v] += q * column[v];
            }
        }
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) store(scores[r] + k + v * kLanes, sums[r][v]);
        }
    }
}

// One step of the online softmax on 64 scores; returns what the sums so far are multiplied with. Positions that the mask
// closes keep e^-87, which is nothing beside the 1 of the row's top.
RSSEG_INLINE float soften(float* scores, Word bits, float* top, float* total) {
    Vec high = splat(kLowest);
    for (int k = 0; k < kKeys; k += kLanes) {
        const Vec s = select(static_cast<std::uint32_t>(bits >> k), load(scores + k), splat(kLowest));
        store(scores + k, s);
        high = max(high, s);
    }
    const float before = *top, here = highest(high);
    float keep = 1;
    if (here > before) {
        keep = expf(before - here);
        *top = here;
    }
    Vec added = {};
    for (int k = 0; k < kKeys; k += kLanes) {
        const Vec p = exp(load(scores + k) - *top);
        store(scores + k, p);
        added += p;
    }
    *total = *total * keep + sum(added);
    return keep;
}

// outputs[row] = outputs[row] * keep[row] + weights[row] . values; values [kKeys][padded depth].
template <int R, int V>
RSSEG_INLINE void mix(const float* const* weights, const float* keep, const float* values, std::size_t padded, int keys,
                      float* const* outputs, std::size_t c) {
    Vec sums[R][V];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) sums[r][v] = load(outputs[r] + c + v * kLanes) * keep[r];
    }
    for (int k = 0; k < keys; ++k) {
        const float* row = values + static_cast<std::size_t>(k) * padded + c;
        Vec value[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) value[v] = load(row + v * kLanes);
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec w = splat(weights[r][k]);
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) sums[r][v] += w * value[v];
        }
    }
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) store(outputs[r] + c + v * kLanes, sums[r][v]);
    }
}

// 64 keys and what their queries have gathered so far.
struct Block {
    const float* keys;     // [depth][kKeys]
    const float* values;   // [kKeys][padded]
    const float* queries;  // [rows][padded], scaled
    const Word* mask;      // one word a row, `words` apart
    std::size_t words, depth, padded;
    int filled;
    float *scores, *outputs, *tops, *totals;
};

template <int R>
RSSEG_INLINE void step(const Block& block, const int* rows) {
    const float* queries[R];
    float *scores[R], *outputs[R], keep[R];
    for (int r = 0; r < R; ++r) {
        queries[r] = block.queries + rows[r] * block.padded;
        scores[r] = block.scores + r * kKeys;
        outputs[r] = block.outputs + rows[r] * block.padded;
    }
    score<R>(queries, block.keys, block.depth, scores);
    for (int r = 0; r < R; ++r)
        keep[r] = soften(scores[r], block.mask[rows[r] * block.words], block.tops + rows[r], block.totals + rows[r]);
    std::size_t c = 0;
    for (; c + 2 * kLanes <= block.padded; c += 2 * kLanes)
        mix<R, 2>(scores, keep, block.values, block.padded, block.filled, outputs, c);
    if (c < block.padded) mix<R, 1>(scores, keep, block.values, block.padded, block.filled, outputs, c);
}

// Keys and values by batch, head and block: keys [depth][kKeys], values [kKeys][padded], zeros where there are none.
struct Packed {
    const MaskedAttention& p;
    float *keys, *values;
    std::size_t words, depth, padded;

    std::size_t place(std::size_t b, std::size_t head, std::size_t word) const {
        return ((b * p.heads + head) * words + word) * kKeys * padded;
    }

    // Packs one block for all heads.
    void operator()(std::size_t index) const {
        const std::size_t b = index / words, word = index % words, start = word * kKeys;
        const std::size_t filled = p.length - start < kKeys ? p.length - start : kKeys;
        for (std::size_t head = 0; head < p.heads; ++head) {
            const std::size_t offset = (b * p.length + start) * p.channels + head * depth;
            float* key = keys + place(b, head, word);
            float* value = values + place(b, head, word);
            if (filled < kKeys) std::memset(key, 0, kKeys * padded * sizeof(float));
            for (std::size_t k = 0; k < filled; ++k) {
                const float* source = p.key + offset + k * p.channels;
                for (std::size_t c = 0; c < depth; ++c) key[c * kKeys + k] = source[c];
                std::memcpy(value + k * padded, p.value + offset + k * p.channels, depth * sizeof(float));
                for (std::size_t c = depth; c < padded; ++c) value[k * padded + c] = 0;
            }
        }
    }
};

struct Task {
    const Packed& packed;
    const Word* bits;
    std::size_t chunks, rows;  // rows: queries of a task
    volatile bool* failed;

    void operator()(std::size_t index) const {
        const MaskedAttention& p = packed.p;
        const std::size_t chunk = index % chunks, head = index / chunks % p.heads, b = index / chunks / p.heads;
        const std::size_t words = packed.words, depth = packed.depth, padded = packed.padded;
        const std::size_t first = chunk * rows, count = p.queries - first < rows ? p.queries - first : rows;
        Scratch scratch(2 * count * padded + kRows * kKeys + 2 * count);
        if (!scratch) {
            *failed = true;
            return;
        }
        float* queries = scratch.take(count * padded);
        Block block{nullptr, nullptr, queries, nullptr, words, depth, padded, 0,
                    scratch.take(kRows * kKeys), scratch.take(count * padded), scratch.take(count), scratch.take(count)};

        const float scale = 1.0f / sqrtf(static_cast<float>(depth));
        for (std::size_t r = 0; r < count; ++r) {
            const float* q = p.query + (b * p.queries + first + r) * p.channels + head * depth;
            for (std::size_t c = 0; c < depth; ++c) queries[r * padded + c] = q[c] * scale;
            block.tops[r] = kLowest;
            block.totals[r] = 0;
        }
        std::memset(block.outputs, 0, count * padded * sizeof(float));
        for (std::size_t w = 0; w < words; ++w) {
            const std::size_t start = w * kKeys;
            block.filled = static_cast<int>(p.length - start < kKeys ? p.length - start : kKeys);
            block.mask = bits + (b * p.queries + first) * words + w;
            block.keys = packed.keys + packed.place(b, head, w);
            block.values = packed.values + packed.place(b, head, w);
            int seeing[kMostRows], n = 0, i = 0;
            for (std::size_t r = 0; r < count; ++r)
                if (block.mask[r * words]) seeing[n++] = static_cast<int>(r);
            for (; i + kRows <= n; i += kRows) step<kRows>(block, seeing + i);
            for (; i + 2 <= n; i += 2) step<2>(block, seeing + i);
            for (; i < n; ++i) step<1>(block, seeing + i);
        }
        for (std::size_t r = 0; r < count; ++r) {
            float* out = p.output + (b * p.queries + first + r) * p.channels + head * depth;
            const float share = 1.0f / block.totals[r];
            for (std::size_t c = 0; c < depth; ++c) out[c] = block.outputs[r * padded + c] * share;
        }
    }
};

}  // namespace

bool masked_attention(const MaskedAttention& p, const Threads& threads) {
    const std::size_t words = up(p.length, kKeys) / kKeys, depth = p.channels / p.heads, padded = up(depth, kLanes);
    const std::size_t size = p.batch * p.heads * words * kKeys * padded;
    Word* bits = static_cast<Word*>(std::malloc(p.batch * p.queries * words * sizeof(Word)));
    Scratch memory(2 * size);
    volatile bool failed = !bits || !memory;
    if (!failed) {
        float* keys = memory.take(size);
        const Packed packed{p, keys, memory.take(size), words, depth, padded};
        // Both in one go: threads meet once less.
        auto prepare = [&](std::size_t i) {
            if (i < p.batch * words) return packed(i);
            const std::size_t row = i - p.batch * words;
            read_mask(p.mask_logits + row * p.length, p.length, words, bits + row * words);
        };
        parallel_for(threads, p.batch * (words + p.queries), prepare);
        const std::size_t fewest = up(p.queries, kMostRows) / kMostRows, rows = up(p.queries, fewest) / fewest;
        const std::size_t chunks = up(p.queries, rows) / rows;
        Task task{packed, bits, chunks, rows, &failed};
        parallel_for(threads, p.batch * p.heads * chunks, task);
    }
    std::free(bits);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
