#include "../conv3x3_relu/op.h"

namespace rsseg {

const Operator kUpsampleConv3x3Relu{
    "UpsampleConv3x3Relu", {"x", "weight", "addend"}, {false, false, false}, {}, [](Call& call) { conv3x3_relu(call, true); }};

}  // namespace rsseg
