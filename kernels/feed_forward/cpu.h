#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's, `rows` of them whatever they are a batch of; every array is contiguous.
struct FeedForward {
    const float* x;
    const float *norm_weight, *norm_bias;
    const float *weight1, *bias1;
    const float *inner_weight, *inner_bias;
    const float *weight2, *bias2;
    float* output;
    std::size_t rows, channels, hidden;
    float *packed1, *packed2;  // of packed_size() floats; filled by feed_forward_pack() from the weights
};

RSSEG_DECLARE_KERNEL(feed_forward_pack, FeedForward)
RSSEG_DECLARE_KERNEL(feed_forward, FeedForward)

}  // namespace rsseg
