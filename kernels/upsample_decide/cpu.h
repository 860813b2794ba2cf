#pragma once

#include <cstddef>
#include <cstdint>

#include "../common/dispatch.h"
#include "../common/threads.h"

namespace rsseg {

// Shapes as the operator's; every array is contiguous.
struct UpsampleDecide {
    const float* shares;
    std::uint8_t *class_map, *confidence;
    std::size_t batch, classes, height, width;  // of the shares
};

RSSEG_DECLARE_KERNEL(upsample_decide, UpsampleDecide)

}  // namespace rsseg
