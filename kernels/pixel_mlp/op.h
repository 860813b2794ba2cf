#pragma once

#include "../common/ort_op.h"

namespace rsseg {

// Both operators of this arithmetic; `fixup` has the guidance as a second input.
void pixel_mlp(Call& call, bool fixup);

}  // namespace rsseg
