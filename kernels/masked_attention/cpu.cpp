// Flash attention on a CPU: scores exist for 64 keys and a few queries at a time. The mask logits are read once, into one
// bit a position, and a query skips every 64 keys of which it may see none. Every task copies the keys and values of its
// head block by block: in place, a head's rows are a whole token apart and evict each other.
#include "cpu.h"

#include <math.h>  // not <cmath>: its float overloads are inline functions, shared between instruction sets

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr int kKeys = 64;        // keys of a block: one machine word of mask bits
constexpr int kMostRows = 128;   // queries of a task
constexpr int kRows = kWide == 4 ? 8 : 6;  // queries in registers: two vectors of scores each
constexpr float kLowest = -3.0e38f;

using Word = std::uint64_t;

std::size_t up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

// Bits of the logits that are not negative, 32 at once.
RSSEG_INLINE std::uint32_t read_half(const float* logits) {
    IntVec found = {};
    RSSEG_UNROLL
    for (int i = 0; i < 32; i += kLanes) found |= bits_where(load(logits + i) >= 0.0f, i);
    return any_lane(found);
}

// One bit a key; a row without any allowed key gets all of them.
void read_mask(const float* logits, std::size_t length, std::size_t words, Word* bits) {
    Word any = 0;
    for (std::size_t w = 0; w < words; ++w) {
        const float* first = logits + w * kKeys;
        const std::size_t count = length - w * kKeys < kKeys ? length - w * kKeys : kKeys;
        Word word = 0;
        if (count == kKeys)
            word = read_half(first) | static_cast<Word>(read_half(first + 32)) << 32;
        else
            for (std::size_t i = 0; i < count; ++i) word |= static_cast<Word>(first[i] >= 0.0f) << i;
        any |= bits[w] = word;
    }
    if (any) return;
    for (std::size_t w = 0; w < words; ++w) bits[w] = ~Word{0};
    if (length % kKeys) bits[words - 1] >>= kKeys - length % kKeys;
}

// 64 keys and what their queries have gathered so far.
struct Block {
    const float* keys;     // [depth][kKeys]
    const float* values;   // [kKeys][padded]
    const float* queries;  // [rows][padded], scaled
    const Word* mask;      // one word a row, `words` apart
    std::size_t words, depth, padded;
    int filled;
    float *scores, *outputs, *tops, *totals;  // totals [rows][kLanes]
};

// scores[r][key] = <query of rows[r], key>, kLowest where the mask is closed; returns each row's highest.
template <int R>
RSSEG_INLINE void score(const Block& block, const int* rows, Vec (&high)[R]) {
    // Enough sums at once to hide the latency of an addition.
    constexpr int V = kKeys / kLanes < (R > 2 ? 2 : 4) ? 1 : R > 2 ? 2 : 4;
    const float* queries[R];
    Word mask[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        queries[r] = block.queries + static_cast<std::size_t>(rows[r]) * block.padded;
        mask[r] = block.mask[static_cast<std::size_t>(rows[r]) * block.words];
        high[r] = splat(kLowest);
    }
    for (int k = 0; k < kKeys; k += V * kLanes) {
        Vec sums[R][V] = {};
        for (std::size_t c = 0; c < block.depth; ++c) {
            Vec column[V];
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) column[v] = load(block.keys + c * kKeys + k + v * kLanes);
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
            for (int v = 0; v < V; ++v) {
                const int place = k + v * kLanes;
                const Vec s = select(static_cast<std::uint32_t>(mask[r] >> place), sums[r][v], splat(kLowest));
                store(block.scores + r * kKeys + place, s);
                high[r] = max(high[r], s);
            }
        }
    }
}

// One step of the online softmax on 64 scores; returns what the sums so far are multiplied with. Positions that the mask
// closes keep e^-87, which is nothing beside the 1 of the row's top.
RSSEG_INLINE float soften(float* scores, float here, float* top, float* totals) {
    float keep = 1;
    if (here > *top) {
        keep = lane(exp(splat(*top - here)), 0);
        *top = here;
    }
    Vec added[2] = {};
    const Vec high = splat(*top);
    RSSEG_UNROLL
    for (int k = 0; k < kKeys; k += kLanes) {
        const Vec p = exp(load(scores + k) - high);
        store(scores + k, p);
        added[k / kLanes % 2] += p;
    }
    store(totals, load(totals) * keep + (added[0] + added[1]));
    return keep;
}

// outputs[row] = outputs[row] * keep[row] + weights[row] . values; values [kKeys][padded depth].
template <int R, int V>
RSSEG_INLINE void mix(const Block& block, const int* rows, const float* keep, std::size_t c) {
    Vec sums[R][V];
    float* outputs[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        outputs[r] = block.outputs + static_cast<std::size_t>(rows[r]) * block.padded + c;
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) sums[r][v] = load(outputs[r] + v * kLanes) * keep[r];
    }
    const float *value = block.values + c, *weights = block.scores;
    for (int k = 0; k < block.filled; ++k, value += block.padded) {
        Vec row[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) row[v] = load(value + v * kLanes);
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec w = splat(weights[r * kKeys + k]);
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) sums[r][v] += w * row[v];
        }
    }
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) store(outputs[r] + v * kLanes, sums[r][v]);
    }
}

// R queries, by their row, on one block.
template <int R>
RSSEG_INLINE void step(const Block& block, const int* rows) {
    Vec high[R];
    score<R>(block, rows, high);
    float keep[R];
    for (int r = 0; r < R; ++r) {
        float* totals = block.totals + static_cast<std::size_t>(rows[r]) * kLanes;
        keep[r] = soften(block.scores + r * kKeys, highest(high[r]), block.tops + rows[r], totals);
    }
    constexpr int V = R > 2 ? 2 : 4;
    std::size_t c = 0;
    for (; c + V * kLanes <= block.padded; c += V * kLanes) mix<R, V>(block, rows, keep, c);
    for (; c < block.padded; c += kLanes) mix<R, 1>(block, rows, keep, c);
}

// One head of one image and some of its queries.
struct Task {
    const MaskedAttention& p;
    const Word* bits;
    std::size_t words, depth, padded, chunks, rows;  // rows: queries of a task
    volatile bool* failed;

    // Copies one block of keys and values, zeros where there are none.
    void copy(std::size_t b, std::size_t head, std::size_t start, float* keys, float* values) const {
        const std::size_t filled = p.length - start < kKeys ? p.length - start : kKeys;
        const float* key = p.key + (b * p.length + start) * p.channels + head * depth;
        const float* value = p.value + (b * p.length + start) * p.channels + head * depth;
        if (filled < kKeys) std::memset(keys, 0, kKeys * depth * sizeof(float));
        std::size_t k = 0;
        for (; k + kLanes <= filled; k += kLanes) {
            std::size_t c = 0;
            for (; c + kLanes <= depth; c += kLanes)
                transpose(key + k * p.channels + c, p.channels, keys + c * kKeys + k, kKeys);
            for (; c < depth; ++c)
                for (std::size_t i = k; i < k + kLanes; ++i) keys[c * kKeys + i] = key[i * p.channels + c];
        }
        for (; k < filled; ++k)
            for (std::size_t c = 0; c < depth; ++c) keys[c * kKeys + k] = key[k * p.channels + c];
        for (k = 0; k < filled; ++k, value += p.channels, values += padded) {
            std::memcpy(values, value, depth * sizeof(float));
            for (std::size_t c = depth; c < padded; ++c) values[c] = 0;
        }
    }

    void operator()(std::size_t index) const {
        const std::size_t chunk = index % chunks, head = index / chunks % p.heads, b = index / chunks / p.heads;
        const std::size_t first = chunk * rows, count = p.queries - first < rows ? p.queries - first : rows;
        Scratch scratch(kKeys * (depth + padded + kRows) + count * (2 * padded + 1 + kLanes));
        if (!scratch) {
            *failed = true;
            return;
        }
        float *keys = scratch.take(kKeys * depth), *values = scratch.take(kKeys * padded);
        float* queries = scratch.take(count * padded);
        Block block{keys, values, queries, nullptr, words, depth, padded, 0, scratch.take(kKeys * kRows),
                    scratch.take(count * padded), nullptr, scratch.take(count * kLanes)};
        block.tops = scratch.take(count);

        const float scale = 1.0f / sqrtf(static_cast<float>(depth));
        for (std::size_t r = 0; r < count; ++r) {
            const float* q = p.query + (b * p.queries + first + r) * p.channels + head * depth;
            for (std::size_t c = 0; c < depth; ++c) queries[r * padded + c] = q[c] * scale;
            block.tops[r] = kLowest;
        }
        std::memset(block.outputs, 0, count * padded * sizeof(float));
        std::memset(block.totals, 0, count * kLanes * sizeof(float));
        for (std::size_t w = 0; w < words; ++w) {
            int seeing[kMostRows], n = 0, i = 0;
            block.mask = bits + (b * p.queries + first) * words + w;
            for (std::size_t r = 0; r < count; ++r)
                if (block.mask[r * words]) seeing[n++] = static_cast<int>(r);
            if (!n) continue;
            copy(b, head, w * kKeys, keys, values);
            block.filled = static_cast<int>(p.length - w * kKeys < kKeys ? p.length - w * kKeys : kKeys);
            for (; i + kRows <= n; i += kRows) step<kRows>(block, seeing + i);
            for (; i + 4 <= n; i += 4) step<4>(block, seeing + i);
            for (; i + 2 <= n; i += 2) step<2>(block, seeing + i);
            for (; i < n; ++i) step<1>(block, seeing + i);
        }
        for (std::size_t r = 0; r < count; ++r) {
            float* out = p.output + (b * p.queries + first + r) * p.channels + head * depth;
            const float share = 1.0f / sum(load(block.totals + r * kLanes));
            for (std::size_t c = 0; c < depth; ++c) out[c] = block.outputs[r * padded + c] * share;
        }
    }
};

}  // namespace

bool masked_attention(const MaskedAttention& p, const Threads& threads) {
    const std::size_t words = up(p.length, kKeys) / kKeys, depth = p.channels / p.heads;
    Word* bits = static_cast<Word*>(std::malloc(p.batch * p.queries * words * sizeof(Word)));
    volatile bool failed = !bits;
    if (!failed) {
        auto prepare = [&](std::size_t row) { read_mask(p.mask_logits + row * p.length, p.length, words, bits + row * words); };
        parallel_for(threads, p.batch * p.queries, prepare);
        const std::size_t fewest = up(p.queries, kMostRows) / kMostRows, rows = up(p.queries, fewest) / fewest;
        const std::size_t chunks = up(p.queries, rows) / rows;
        Task task{p, bits, words, depth, up(depth, kLanes), chunks, rows, &failed};
        parallel_for(threads, p.batch * p.heads * chunks, task);
    }
    std::free(bits);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
