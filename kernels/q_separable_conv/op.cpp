#include "../q_inverted_residual/op.h"

namespace rsseg {

const Operator kQSeparableConv{"QSeparableConv",
                               {"x", "depth_weight", "depth_bias", "hidden_step", "project_weight", "project_step", "project_bias",
                                "addend", "limits"},
                               std::vector<bool>(9, false),
                               {"channels", "stride", "offset"},
                               [](Call& call) { q_block(call, false); }};

}  // namespace rsseg
