#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operators'; every array is contiguous. `side` are further channels of a pixel, of FixupKernel alone, which
// also adds x to the outcome.
struct PixelMlp {
    const float* x;
    const float* side;
    const float *weight1, *bias1, *weight2, *bias2;
    float* output;
    std::size_t pixels, channels, side_channels, hidden, outputs;
    bool residual;
    float* packed;  // of pixel_mlp_packed_size() floats; filled by pixel_mlp_pack() from the weights
};

// Floats of both layers' weights and biases for any instruction set of at most 16 lanes.
inline std::size_t pixel_mlp_packed_size(const PixelMlp& p) {
    const auto padded = [](std::size_t n) { return (n + 15) / 16 * 16; };
    return (p.channels + p.side_channels + 1) * padded(p.hidden) + (p.hidden + 1) * padded(p.outputs);
}

RSSEG_DECLARE_KERNEL(pixel_mlp_pack, PixelMlp)
RSSEG_DECLARE_KERNEL(pixel_mlp, PixelMlp)

}  // namespace rsseg
