#pragma once

#include "../common/ort_op.h"

namespace rsseg {

// Both operators of this arithmetic; `expands` has the first layer's inputs after x.
void q_block(Call& call, bool expands);

}  // namespace rsseg
