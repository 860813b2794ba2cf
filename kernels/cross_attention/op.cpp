#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {
namespace {

void compute(Call& call) {
    const auto x = call.shape(0, 3), keys = call.shape(4, 3);
    const std::size_t channels = x[2];
    const std::int64_t heads = call.attribute(0);
    for (std::size_t input : {1, 2, 7, 8, 9}) {
        call.shape(input, 1);
        call.expect(input, 0, channels, "the channels of x");
    }
    call.shape(3, 2);
    call.expect(3, 0, x[1], "the positions of x");
    call.expect(3, 1, channels, "the channels of x");
    call.shape(5, 3);
    call.shape(6, 2);
    for (std::size_t input : {4, 5, 6}) call.expect(input, 0, x[0], "the batch of x");
    for (std::size_t input : {4, 5}) call.expect(input, 2, channels, "the channels of x");
    for (std::size_t input : {5, 6}) call.expect(input, 1, keys[1], "the number of keys");
    if (heads < 1 || keys[1] % static_cast<std::size_t>(heads))
        throw OpError("num_heads " + std::to_string(heads) + " does not divide the " + std::to_string(keys[1]) + " keys");
    const std::size_t count = static_cast<std::size_t>(heads);
    const CrossAttention problem{call.floats(0), call.floats(1), call.floats(2), call.floats(3), call.floats(4),
                                 call.floats(5), call.floats(6), call.floats(7), call.floats(8), call.floats(9),
                                 call.output({x[0], x[1], channels}), x[0], x[1], channels, count, keys[1] / count};
    require_memory(RSSEG_BEST(cross_attention)(problem, call.threads()));
}

}  // namespace

const Operator kCrossAttention{
    "CrossAttention",
    {"x", "norm_weight", "norm_bias", "position", "keys", "values", "scores", "out_bias", "out_norm_weight", "out_norm_bias"},
    {false, false, false, false, false, false, false, false, false, false},
    {"num_heads"},
    &compute};

}  // namespace rsseg
