#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operators'; every array is contiguous. Unless it `expands` it is QSeparableConv, whose hidden channels
// are those of x; both steps are a step and a zero.
struct QBlock {
    const float* x;
    const float *x_step, *expand_weight, *expand_step, *expand_bias;
    const float *depth_weight, *depth_bias, *hidden_step;
    const float *project_weight, *project_step, *project_bias;
    const float* addend;  // a value for every place where addend_everywhere, else one for all
    const float* limits;
    float* output;
    std::size_t batch, height, width, channels, hidden, outputs, window, stride, offset;
    bool expands, addend_everywhere;
    float* packed;  // of q_block_packed_size() floats; filled by q_block_pack() from weights, steps and biases
};

inline std::size_t q_block_out(std::size_t side, std::size_t stride, std::size_t offset) { return (side - offset - 1) / stride + 1; }

// Floats of all weights, with what undoes their steps, for any instruction set of at most 16 lanes.
inline std::size_t q_block_packed_size(const QBlock& p) {
    const auto padded = [](std::size_t n) { return (n + 15) / 16 * 16; };
    const std::size_t hidden = padded(p.hidden), depth = p.expands ? padded(p.channels) + 2 : 0;
    return depth * hidden + (p.window * p.window + 1) * hidden + (hidden + 2) * padded(p.outputs);
}

RSSEG_DECLARE_KERNEL(q_block_pack, QBlock)
RSSEG_DECLARE_KERNEL(q_block, QBlock)
RSSEG_DECLARE_VNNI(q_block_pack, QBlock)
RSSEG_DECLARE_VNNI(q_block, QBlock)

}  // namespace rsseg
