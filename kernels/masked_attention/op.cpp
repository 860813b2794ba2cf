#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {
namespace {

void compute(Call& call) {
    const auto query = call.shape(0, 3), key = call.shape(1, 3);
    call.shape(2, 3);
    call.shape(3, 3);
    const std::size_t batch = query[0], queries = query[1], length = key[1], channels = query[2];
    const std::int64_t heads = call.attribute(0);
    for (std::size_t input : {1, 2, 3}) call.expect(input, 0, batch, "the batch of query");
    for (std::size_t input : {1, 2}) call.expect(input, 2, channels, "the channels of query");
    call.expect(2, 1, length, "the length of key");
    call.expect(3, 1, queries, "the number of queries");
    call.expect(3, 2, length, "the length of key");
    if (heads < 1 || channels % static_cast<std::size_t>(heads))
        throw OpError("num_heads " + std::to_string(heads) + " does not divide the " + std::to_string(channels) + " channels");
    const MaskedAttention problem{call.floats(0), call.floats(1), call.floats(2), call.floats(3),
                                  call.output({batch, queries, channels}), batch, queries, length, channels,
                                  static_cast<std::size_t>(heads)};
    require_memory(RSSEG_BEST(masked_attention)(problem, call.threads()));
}

}  // namespace

const Operator kMaskedAttention{
    "MaskedAttention", {"query", "key", "value", "mask_logits"}, {false, false, false, false}, {"num_heads"}, &compute};

}  // namespace rsseg
