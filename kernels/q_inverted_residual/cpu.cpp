// A block of a mobile network at once: its hidden channels never leave the caches. Codes, which are the 8-bit integers of
// activations and weights, are bytes where the processor multiplies bytes (RSSEG_VNNI), four of them at a time; elsewhere
// they are floats, whose products are the same. The depthwise convolution in the middle is one of floats.
#include "cpu.h"

#include "../common/simd.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

namespace rsseg {
namespace RSSEG_ISA {
namespace {

#if defined(RSSEG_VNNI)
using Code = std::uint8_t;
using Weight = std::int8_t;
constexpr std::size_t kGroup = 4;  // codes that one instruction multiplies and adds
using Sums = IntVec;
#else
using Code = float;
using Weight = float;
constexpr std::size_t kGroup = 1;
using Sums = Vec;
#endif

constexpr std::size_t kStep = kGroup * kLanes;  // weights of a vector of outputs for a group of codes
constexpr int kMostVectors = kLanes == 16 ? 4 : 2;
constexpr std::size_t kColumns = 8;               // of the depthwise convolution at a time
constexpr std::size_t kRing = 9 * 1024;           // floats of its rows that are at work: the first cache
constexpr std::size_t kHiddenBytes = 1u << 20;    // codes of hidden channels between the layers: the second cache and near it
constexpr std::size_t kPixels = 96;
constexpr std::size_t kTasks = 8;

// Pixels at a time beside V vectors of outputs: their sums fill the registers.
constexpr int rows_beside(int vectors) { return (kLanes == 16 ? 24 : 12) / vectors < 16 ? (kLanes == 16 ? 24 : 12) / vectors : 16; }

RSSEG_INLINE std::size_t over(std::size_t n, std::size_t by) { return (n + by - 1) / by; }
RSSEG_INLINE std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }
RSSEG_INLINE std::size_t grouped(std::size_t n) { return over(n, kGroup) * kGroup; }

// Channels in panels of up to kMostVectors vectors, of nearly equal size.
struct Panels {
    std::size_t vectors, count;
    explicit Panels(std::size_t channels) : vectors(over(channels, kLanes)), count(over(vectors, kMostVectors)) {}
    std::size_t begin(std::size_t panel) const { return vectors * panel / count; }
    std::size_t width() const { return vectors * kLanes; }
};

// What undoes the steps: sums of products of codes times `factor`, plus `offset`, are the layer's result.
struct Layer {
    const Weight* codes;  // [panel][group][vector][lane][kGroup]
    const float *factor, *offset;
    std::size_t groups;
};

struct Depth {
    const float *bias, *taps;  // [width], [panel][tap][vector][lane]
};

struct Parts {
    Layer expand, project;
    Depth depth;
};

// Where the parts of p.packed lie; each in floats, aligned to vectors.
Parts parts_of(const QBlock& p) {
    const Panels hidden(p.hidden), outputs(p.outputs);
    float* next = p.packed;
    const auto layer = [&](std::size_t inputs, const Panels& panels) {
        Layer made{};
        made.groups = grouped(inputs) / kGroup;
        made.codes = reinterpret_cast<const Weight*>(next);
        next += over(made.groups * panels.vectors * kStep * sizeof(Weight), 64) * 16;
        made.factor = next;
        made.offset = next += panels.width();
        next += panels.width();
        return made;
    };
    Parts made{};
    if (p.expands) made.expand = layer(p.channels, hidden);
    made.project = layer(hidden.width(), outputs);
    made.depth.bias = next;
    made.depth.taps = next + hidden.width();
    return made;
}

// The nearest integer; ties to even, as ONNX's Round.
RSSEG_INLINE float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

float weight_code(float weight, float step) {
    const float code = weight / step;
    return nearest(code < -127 ? -127.0f : code > 127 ? 127.0f : code == code ? code : 0.0f);
}

void pack_layer(const Layer& layer, const float* weight, const float* step, const float* bias, std::size_t inputs, std::size_t outputs,
                const float* from) {
    const Panels panels(outputs);
    auto* codes = const_cast<Weight*>(layer.codes);
    for (std::size_t panel = 0; panel < panels.count; ++panel)
        for (std::size_t group = 0; group < layer.groups; ++group)
            for (std::size_t o = panels.begin(panel) * kLanes; o < panels.begin(panel + 1) * kLanes; ++o)
                for (std::size_t i = group * kGroup; i < (group + 1) * kGroup; ++i)
                    *codes++ = static_cast<Weight>(o < outputs && i < inputs ? weight_code(weight[o * inputs + i], step[o]) : 0.0f);
    for (std::size_t o = 0; o < panels.width(); ++o) {
        float total = 0;
        for (std::size_t i = 0; o < outputs && i < inputs; ++i) total += weight_code(weight[o * inputs + i], step[o]);
        const float factor = o < outputs ? from[0] * step[o] : 0.0f;
        const_cast<float*>(layer.factor)[o] = factor;
        const_cast<float*>(layer.offset)[o] = o < outputs ? bias[o] - factor * from[1] * total : 0.0f;
    }
}

RSSEG_INLINE Vec clamp(Vec x, Vec low, Vec high) { return -max(-max(x, low), -high); }

// How numbers become codes: a step and the code of zero.
struct Steps {
    Vec inverse, zero;
    explicit Steps(const float* step) : inverse(splat(1 / step[0])), zero(splat(step[1])) {}
};

RSSEG_INLINE Vec code_of(Vec x, const Steps& steps) { return clamp(x * steps.inverse + steps.zero, splat(0.0f), splat(255.0f)); }

RSSEG_INLINE void store_codes(Code* p, Vec code) {
#if defined(__AVX512VNNI__)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtusepi32_epi8(0xffff, _mm512_maskz_cvtps_epi32(0xffff, code)));
#elif defined(RSSEG_VNNI)
    const Vec rounded = code + 12582912.0f;
    for (int i = 0; i < kLanes; ++i) p[i] = static_cast<Code>(lane(rounded, i) - 12582912.0f);
#else
    store(p, (code + 12582912.0f) - 12582912.0f);
#endif
}

RSSEG_INLINE void add_products(Sums& sums, const Code* codes, const Weight* weights) {
#if defined(__AVX512VNNI__)
    std::int32_t group;
    std::memcpy(&group, codes, sizeof group);
    sums = reinterpret_cast<IntVec>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), _mm512_set1_epi32(group), _mm512_loadu_si512(weights)));
#elif defined(RSSEG_VNNI)
    IntVec four;
    std::memcpy(&four, weights, sizeof four);
    for (int i = 0; i < 4; ++i) sums += ((four << (24 - 8 * i)) >> 24) * static_cast<std::int32_t>(codes[i]);
#else
    sums += splat(*codes) * load(weights);
#endif
}

RSSEG_INLINE Vec as_floats(Sums sums) {
#if defined(RSSEG_VNNI)
    return __builtin_convertvector(sums, Vec);
#else
    return sums;
#endif
}

// R pixels times a panel of V vectors of outputs; finish(r, v, sums) takes what comes of it.
template <int R, int V, class Finish>
RSSEG_INLINE void multiply(const Code* rows, std::size_t stride, const Weight* weights, std::size_t groups, Finish& finish) {
    Sums sums[R][V] = {};
    const Code* row[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) row[r] = rows + static_cast<std::size_t>(r) * stride;
    for (std::size_t g = 0; g < groups; ++g, weights += V * kStep) {
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) add_products(sums[r][v], row[r] + g * kGroup, weights + static_cast<std::size_t>(v) * kStep);
        }
    }
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) finish(r, v, as_floats(sums[r][v]));
    }
}

// All of some pixels: the last ones of them twice, where they are no multiple of what is done at a time. finish(i, v, sums)
// takes pixel i's.
template <int V, class Finish>
RSSEG_INLINE void multiply_all(std::size_t pixels, const Code* rows, std::size_t stride, const Weight* weights, std::size_t groups,
                               Finish& finish) {
    constexpr int R = rows_beside(V);
    const bool whole = pixels >= R;
    for (std::size_t i = 0; i < pixels; i += whole ? R : 1) {
        const std::size_t first = whole ? least(i, pixels - R) : i;
        auto from = [&](int r, int v, Vec sums) { finish(first + static_cast<std::size_t>(r), v, sums); };
        if (whole)
            multiply<R, V>(rows + first * stride, stride, weights, groups, from);
        else
            multiply<1, V>(rows + first * stride, stride, weights, groups, from);
    }
}

// f.template run<V>() with the number of vectors as a constant.
template <class F>
RSSEG_INLINE void with_vectors(std::size_t vectors, F& f) {
    switch (vectors) {
        case 1: f.template run<1>(); return;
        case 2: f.template run<2>(); return;
#if RSSEG_LANES == 16
        case 3: f.template run<3>(); return;
        case 4: f.template run<4>(); return;
#endif
    }
}

// Hidden channels of one panel, for some rows of the output.
struct HiddenTask {
    const QBlock& p;
    const Parts& parts;
    const Code* x;  // codes of the image, grouped(channels) a pixel; none for QSeparableConv
    const float* image;
    Code* hidden;  // of row `top`, channel 0
    std::size_t stride, panel, top, begin, end;
    float* scratch;

    template <int V>
    void run() {
        if (p.window == 3)
            p.stride == 1 ? tiles<V, 3, 1>() : tiles<V, 3, 2>();
        else
            p.stride == 1 ? tiles<V, 5, 1>() : tiles<V, 5, 2>();
    }

    // Columns in tiles whose last K rows of the padded image stay in the first cache.
    template <int V, int K, int S>
    void tiles() {
        constexpr std::size_t wide = V * kLanes, room = kRing / (K * wide);
        constexpr std::size_t columns = (room > K + kColumns * S ? (room - K) / S : kColumns) / kColumns * kColumns;
        static_assert(K * wide * (columns * S + K) <= 2 * kRing, "what scratch was made for");
        const std::size_t across = q_block_out(p.width, S, p.offset);
        for (std::size_t left = 0; left < across; left += columns) {
            const std::size_t right = least(left + columns, across);
            const std::size_t from = left * S, to = (right - 1) * S + K;  // columns of the padded image
            const auto row = [&](std::size_t y) { return scratch + y % K * (to - from) * wide; };
            std::size_t ready = begin * S;  // rows of the padded image that are or were there
            for (std::size_t y = begin; y < end; ++y) {
                for (; ready < y * S + K; ++ready) fill<V>(row(ready), ready, from, to);
                const float* rows[K];
                RSSEG_UNROLL
                for (int k = 0; k < K; ++k) rows[k] = row(y * S + static_cast<std::size_t>(k));
                convolve<V, K, S>(rows, y, left, right);
            }
        }
    }

    // Columns `from` to `to` of a row of the padded image, which begins `before` zeros above and left of the image.
    template <int V>
    void fill(float* row, std::size_t padded, std::size_t from, std::size_t to) {
        constexpr std::size_t wide = V * kLanes;
        const std::size_t before = p.window / 2 - p.offset;
        if (padded < before || padded >= p.height + before) {
            std::memset(row, 0, (to - from) * wide * sizeof(float));
            return;
        }
        const std::size_t inner = from < before ? before : from, outer = least(to, p.width + before), count = outer - inner;
        std::memset(row, 0, (inner - from) * wide * sizeof(float));
        std::memset(row + (outer - from) * wide, 0, (to - outer) * wide * sizeof(float));
        float* target = row + (inner - from) * wide;
        const std::size_t place = (padded - before) * p.width + inner - before, first = Panels(p.hidden).begin(panel) * kLanes;
        if (!p.expands) {
            const float* source = image + place * p.channels + first;
            const std::size_t some = least(p.channels - first, wide);
            for (std::size_t i = 0; i < count; ++i, source += p.channels, target += wide) {
                std::size_t c = 0;
                for (; c + kLanes <= some; c += kLanes) store(target + c, load(source + c));
                if (c < some) store(target + c, load_partial(source + c, static_cast<int>(some - c)));
            }
            return;
        }
        const Layer& layer = parts.expand;
        const std::size_t depth = layer.groups * kGroup;
        const Vec low = splat(p.limits[0]), high = splat(p.limits[1]);
        Vec factor[V], offset[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) factor[v] = load(layer.factor + first + v * kLanes), offset[v] = load(layer.offset + first + v * kLanes);
        auto finish = [&](std::size_t i, int v, Vec sums) { store(target + i * wide + v * kLanes, clamp(sums * factor[v] + offset[v], low, high)); };
        multiply_all<V>(count, x + place * depth, depth, layer.codes + first * depth, layer.groups, finish);
    }

    template <int V, int K, int S>
    void convolve(const float* const (&rows)[K], std::size_t y, std::size_t left, std::size_t right) {
        const std::size_t first = Panels(p.hidden).begin(panel) * kLanes, across = q_block_out(p.width, S, p.offset), count = right - left;
        const Steps steps(p.hidden_step);
        const Vec low = splat(p.limits[0]), high = splat(p.limits[1]);
        Code* target = hidden + ((y - top) * across + left) * stride + first;
        const bool whole = count >= kColumns;
        for (int v = 0; v < V; ++v) {
            const float* taps = parts.depth.taps + first * K * K + v * kLanes;
            const Vec bias = load(parts.depth.bias + first + v * kLanes);
            for (std::size_t i = 0; i < count; i += whole ? kColumns : 1) {
                if (whole)
                    columns<V, K, S, kColumns>(rows, least(i, count - kColumns), v, taps, bias, low, high, steps, target, stride);
                else
                    columns<V, K, S, 1>(rows, i, v, taps, bias, low, high, steps, target, stride);
            }
        }
    }

    template <int V, int K, int S, std::size_t N>
    RSSEG_INLINE void columns(const float* const (&rows)[K], std::size_t i, int v, const float* taps, Vec bias, Vec low, Vec high,
                              const Steps& steps, Code* target, std::size_t stride) {
        constexpr std::size_t wide = V * kLanes;
        Vec sums[N];
        RSSEG_UNROLL
        for (std::size_t n = 0; n < N; ++n) sums[n] = bias;
        for (int ky = 0; ky < K; ++ky) {
            const float* source = rows[ky] + i * S * wide + v * kLanes;
            RSSEG_UNROLL
            for (int kx = 0; kx < K; ++kx) {
                const Vec tap = load(taps + static_cast<std::size_t>(ky * K + kx) * wide);
                RSSEG_UNROLL
                for (std::size_t n = 0; n < N; ++n) sums[n] += load(source + (n * S + static_cast<std::size_t>(kx)) * wide) * tap;
            }
        }
        RSSEG_UNROLL
        for (std::size_t n = 0; n < N; ++n) store_codes(target + (i + n) * stride + v * kLanes, code_of(clamp(sums[n], low, high), steps));
    }
};

// Some pixels of the output, from the hidden channels' codes.
struct OutputTask {
    const QBlock& p;
    const Layer& layer;
    const Code* hidden;  // of the first pixel
    std::size_t stride, pixels, panel;
    float* output;
    const float* addend;

    template <int V>
    void run() {
        const std::size_t first = Panels(p.outputs).begin(panel) * kLanes, depth = layer.groups * kGroup;
        const Vec low = splat(p.limits[2]), high = splat(p.limits[3]), one = splat(addend[0]);
        Vec factor[V], offset[V];
        int count[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) {
            const std::size_t from = first + static_cast<std::size_t>(v) * kLanes;
            factor[v] = load(layer.factor + from), offset[v] = load(layer.offset + from);
            count[v] = static_cast<int>(least(p.outputs - from, kLanes));
        }
        auto finish = [&](std::size_t i, int v, Vec sums) {
            const std::size_t place = i * p.outputs + first + static_cast<std::size_t>(v) * kLanes;
            Vec made = sums * factor[v] + offset[v];
            if (count[v] == kLanes) {
                made += p.addend_everywhere ? load(addend + place) : one;
                store(output + place, clamp(made, low, high));
            } else {
                made += p.addend_everywhere ? load_partial(addend + place, count[v]) : one;
                store_partial(output + place, clamp(made, low, high), count[v]);
            }
        };
        multiply_all<V>(pixels, hidden, stride, layer.codes + first * depth, layer.groups, finish);
    }
};

void encode(const float* x, std::size_t pixels, std::size_t channels, const Steps& steps, Code* codes) {
    const std::size_t depth = grouped(channels);
    if (depth == channels) {  // without room between pixels they are one row
        channels *= pixels;
        pixels = 1;
    }
    for (std::size_t i = 0; i < pixels; ++i, x += channels, codes += depth) {
        std::size_t c = 0;
        for (; c + kLanes <= channels; c += kLanes) store_codes(codes + c, code_of(load(x + c), steps));
        if (c < channels) {
            Code last[kLanes];
            store_codes(last, code_of(load_partial(x + c, static_cast<int>(channels - c)), steps));
            std::memcpy(codes + c, last, (pixels == 1 ? channels - c : depth - c) * sizeof(Code));
        }
    }
}

}  // namespace

bool q_block_pack(const QBlock& p, const Threads&) {
    const Parts parts = parts_of(p);
    const Panels panels(p.hidden);
    if (p.expands) pack_layer(parts.expand, p.expand_weight, p.expand_step, p.expand_bias, p.channels, p.hidden, p.x_step);
    pack_layer(parts.project, p.project_weight, p.project_step, p.project_bias, p.hidden, p.outputs, p.hidden_step);
    const std::size_t area = p.window * p.window;
    auto *bias = const_cast<float*>(parts.depth.bias), *taps = const_cast<float*>(parts.depth.taps);
    for (std::size_t e = 0; e < panels.width(); ++e) bias[e] = e < p.hidden ? p.depth_bias[e] : 0.0f;
    for (std::size_t panel = 0; panel < panels.count; ++panel)
        for (std::size_t tap = 0; tap < area; ++tap)
            for (std::size_t e = panels.begin(panel) * kLanes; e < panels.begin(panel + 1) * kLanes; ++e)
                *taps++ = e < p.hidden ? p.depth_weight[e * area + tap] : 0.0f;
    return true;
}

bool q_block(const QBlock& p, const Threads& threads) {
    const Parts parts = parts_of(p);
    const Panels hidden(p.hidden), outputs(p.outputs);
    const std::size_t down = q_block_out(p.height, p.stride, p.offset),
                      across = q_block_out(p.width, p.stride, p.offset);
    const std::size_t depth = p.expands ? grouped(p.channels) : 0, stride = hidden.width(), pixels = p.height * p.width;
    const std::size_t strip = least(down, 1 + kHiddenBytes / (across * stride * sizeof(Code)));
    const std::size_t floats = (pixels * depth * sizeof(Code) + strip * across * stride * sizeof(Code)) / sizeof(float) + 64;
    Scratch shared(floats);
    if (!shared) return false;
    auto* codes = reinterpret_cast<Code*>(shared.take(over(pixels * depth * sizeof(Code), 64) * 16));
    auto* between = reinterpret_cast<Code*>(shared.take(0));
    volatile bool failed = false;
    for (std::size_t b = 0; b < p.batch; ++b) {
        const float* image = p.x + b * pixels * p.channels;
        if (depth) {
            const std::size_t parts_of_image = least(pixels, kTasks);
            auto task = [&](std::size_t i) {
                const std::size_t begin = pixels * i / parts_of_image, end = pixels * (i + 1) / parts_of_image;
                encode(image + begin * p.channels, end - begin, p.channels, Steps(p.x_step), codes + begin * depth);
            };
            parallel_for(threads, parts_of_image, task);
        }
        for (std::size_t top = 0; top < down; top += strip) {
            const std::size_t rows = least(strip, down - top);
            // Rows are cut where there are few panels and many rows: each cut computes rows of hidden channels twice.
            const std::size_t cuts = least(over(kTasks / 2, hidden.count), over(rows, 16));
            auto first = [&](std::size_t i) {
                Scratch own(2 * kRing);
                if (!own) {
                    failed = true;
                    return;
                }
                const std::size_t panel = i / cuts, cut = i % cuts;
                HiddenTask task{p, parts, codes, image, between, stride, panel, top, top + rows * cut / cuts, top + rows * (cut + 1) / cuts,
                                own.take(0)};
                with_vectors(hidden.begin(panel + 1) - hidden.begin(panel), task);
            };
            parallel_for(threads, hidden.count * cuts, first);
            const std::size_t count = rows * across, chunks = over(count, kPixels);
            auto second = [&](std::size_t i) {
                const std::size_t begin = i * kPixels, some = least(kPixels, count - begin);
                const std::size_t place = ((b * down + top) * across + begin) * p.outputs;
                for (std::size_t panel = 0; panel < outputs.count; ++panel) {
                    OutputTask task{p, parts.project, between + begin * stride, stride, some, panel, p.output + place,
                                    p.addend_everywhere ? p.addend + place : p.addend};
                    with_vectors(outputs.begin(panel + 1) - outputs.begin(panel), task);
                }
            };
            if (!failed) parallel_for(threads, chunks, second);
        }
    }
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
