#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's; every array is contiguous.
struct SelfAttention {
    const float* x;
    const float *norm_weight, *norm_bias;
    const float *weight, *addend;
    const float *out_weight, *out_bias;
    const float *out_norm_weight, *out_norm_bias;
    float* output;
    std::size_t batch, length, channels, heads;
    bool one_addend;            // for all positions
    float *packed, *out_packed;  // of packed_size() floats; filled by self_attention_pack() from the weights
};

RSSEG_DECLARE_KERNEL(self_attention_pack, SelfAttention)
RSSEG_DECLARE_KERNEL(self_attention, SelfAttention)

}  // namespace rsseg
