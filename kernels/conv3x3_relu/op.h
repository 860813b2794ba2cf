#pragma once

#include "../common/ort_op.h"

namespace rsseg {

// Both operators of this arithmetic.
void conv3x3_relu(Call& call, bool enlarged);

}  // namespace rsseg
