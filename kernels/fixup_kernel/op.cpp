#include "../pixel_mlp/op.h"

namespace rsseg {

const Operator kFixupKernel{"FixupKernel",
                            {"kernel", "guidance", "weight1", "bias1", "weight2", "bias2"},
                            {false, false, false, false, false, false},
                            {},
                            [](Call& call) { pixel_mlp(call, true); }};

}  // namespace rsseg
