// A chunk of pixels goes through both layers while it is in the caches: neither the concatenated channels nor the hidden
// ones are ever written to memory. Weights are packed by two vectors of outputs, the last one by itself.
#include "cpu.h"

#include "../common/simd.h"

namespace rsseg {
namespace RSSEG_ISA {
namespace {

constexpr int kRows = kLanes == 16 ? 12 : 6;  // pixels at a time: their sums of two vectors fill the registers
constexpr std::size_t kChunk = 8 * static_cast<std::size_t>(kRows);

std::size_t up(std::size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// One layer's weights: per block of vectors the biases, then the weights of one input after the other.
void pack_layer(const float* weight, const float* bias, std::size_t inputs, std::size_t outputs, float* packed) {
    for (std::size_t first = 0; first < outputs;) {
        const std::size_t width = up(outputs - first) > kLanes ? 2 * kLanes : kLanes;
        for (std::size_t c = 0; c <= inputs; ++c)
            for (std::size_t i = 0; i < width; ++i, ++packed) {
                const std::size_t o = first + i;
                *packed = o >= outputs ? 0 : c == 0 ? bias[o] : weight[o * inputs + c - 1];
            }
        first += width;
    }
}

std::size_t layer_size(std::size_t inputs, std::size_t outputs) { return (inputs + 1) * up(outputs); }

// Channels of some pixels: so many of each, that lie so many floats apart.
struct Channels {
    const float* data;
    std::size_t count, stride;
};

// Adds the products of R pixels with V vectors of outputs for some inputs; gives the weights that come next.
template <int R, int V>
RSSEG_INLINE const float* add_products(const Channels& x, const float* weights, Vec (&sums)[R][V]) {
    const float* pixel[R];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) pixel[r] = x.data + static_cast<std::size_t>(r) * x.stride;
    for (std::size_t c = 0; c < x.count; ++c, weights += V * kLanes) {
        Vec column[V];
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) column[v] = load(weights + v * kLanes);
        RSSEG_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec value = splat(pixel[r][c]);
            RSSEG_UNROLL
            for (int v = 0; v < V; ++v) sums[r][v] += value * column[v];
        }
    }
    return weights;
}

// Without `side`, side.count is 0.
template <int R, int V>
RSSEG_INLINE void multiply(const Channels& x, const Channels& side, const float* weights, float* out, std::size_t stride) {
    Vec sums[R][V];
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) sums[r][v] = load(weights + v * kLanes);
    }
    weights = add_products<R, V>(x, weights + V * kLanes, sums);
    add_products<R, V>(side, weights, sums);
    RSSEG_UNROLL
    for (int r = 0; r < R; ++r) {
        RSSEG_UNROLL
        for (int v = 0; v < V; ++v) store(out + static_cast<std::size_t>(r) * stride + v * kLanes, sums[r][v]);
    }
}

Channels from(const Channels& x, std::size_t pixel) { return {x.data + pixel * x.stride, x.count, x.stride}; }

template <int V>
void multiply_all(const Channels& x, const Channels& side, std::size_t pixels, const float* weights, float* out, std::size_t stride) {
    std::size_t r = 0;
    for (; r + kRows <= pixels; r += kRows) multiply<kRows, V>(from(x, r), from(side, r), weights, out + r * stride, stride);
    for (; r < pixels; ++r) multiply<1, V>(from(x, r), from(side, r), weights, out + r * stride, stride);
}

// out [pixels][up(outputs)]
void layer(const Channels& x, const Channels& side, std::size_t pixels, const float* packed, std::size_t outputs, float* out) {
    const std::size_t inputs = x.count + side.count, stride = up(outputs);
    for (std::size_t first = 0; first < stride;) {
        const std::size_t width = stride - first > kLanes ? 2 * kLanes : kLanes;
        if (width > kLanes)
            multiply_all<2>(x, side, pixels, packed, out + first, stride);
        else
            multiply_all<1>(x, side, pixels, packed, out + first, stride);
        packed += (inputs + 1) * width;
        first += width;
    }
}

// x Phi(x); Phi(x) - 1/2 is x times a fraction of two polynomials of degree 5 in the square of x, off by 7e-9 at most
// below 5.5, where Phi is 1 to rounding.
RSSEG_INLINE Vec gelu(Vec x) {
    const Vec near = -max(-max(x, splat(-5.5f)), splat(-5.5f)), t = near * near;
    Vec p = splat(2.27493478e-08f), q = splat(1.19750412e-06f);
    p = p * t + 6.35212741e-06f;
    q = q * t + 7.36478409e-05f;
    p = p * t + 0.00016882669f;
    q = q * t + 0.00188445058f;
    p = p * t + 0.00467726687f;
    q = q * t + 0.0286459279f;
    p = p * t + 0.0338527436f;
    q = q * t + 0.251522163f;
    p = p * t + 0.398942235f;
    q = q * t + 1.0f;
    return x * (near * p / q + 0.5f);
}

}  // namespace

bool pixel_mlp_pack(const PixelMlp& p, const Threads&) {
    const std::size_t inputs = p.channels + p.side_channels;
    pack_layer(p.weight1, p.bias1, inputs, p.hidden, p.packed);
    pack_layer(p.weight2, p.bias2, p.hidden, p.outputs, p.packed + layer_size(inputs, p.hidden));
    return true;
}

bool pixel_mlp(const PixelMlp& p, const Threads& threads) {
    const std::size_t width = up(p.hidden), wide = up(p.outputs);
    const float* second = p.packed + layer_size(p.channels + p.side_channels, p.hidden);
    volatile bool failed = false;
    auto chunk = [&](std::size_t index) {
        Scratch scratch(kChunk * (width + wide));
        if (!scratch) {
            failed = true;
            return;
        }
        float *hidden = scratch.take(kChunk * width), *made = scratch.take(kChunk * wide);
        const std::size_t begin = index * kChunk, count = p.pixels - begin < kChunk ? p.pixels - begin : kChunk;
        const float* x = p.x + begin * p.channels;
        const Channels none{x, 0, 0};
        const Channels side = p.side ? Channels{p.side + begin * p.side_channels, p.side_channels, p.side_channels} : none;
        layer({x, p.channels, p.channels}, side, count, p.packed, p.hidden, hidden);
        for (std::size_t i = 0; i < count * width; i += kLanes) store(hidden + i, gelu(load(hidden + i)));
        layer({hidden, p.hidden, width}, none, count, second, p.outputs, made);
        float* out = p.output + begin * p.outputs;
        for (std::size_t i = 0; i < count; ++i, out += p.outputs, x += p.channels)
            for (std::size_t o = 0; o < p.outputs; ++o) out[o] = made[i * wide + o] + (p.residual ? x[o] : 0.0f);
    };
    parallel_for(threads, (p.pixels + kChunk - 1) / kChunk, chunk);
    return !failed;
}

}  // namespace RSSEG_ISA
}  // namespace rsseg
