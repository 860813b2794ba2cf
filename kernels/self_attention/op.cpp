#include <memory>

#include "../common/ort_op.h"
#include "../common/packed.h"
#include "cpu.h"

namespace rsseg {
namespace {

// Weights that are constants of the graph, as the kernel of an instruction set reads them.
struct Prepared : Call::State {
    explicit Prepared(std::size_t channels) : into(packed_size(channels, 3 * channels)), out(packed_size(channels, channels)), packed_for(isa()) {}
    Packed into, out;
    Isa packed_for;
};

void compute(Call& call) {
    const auto x = call.shape(0, 3), weight = call.shape(3, 2), addend = call.shape(4, 2), out_weight = call.shape(5, 2);
    const std::size_t channels = x[2];
    const std::int64_t heads = call.attribute(0);
    for (std::size_t input : {1, 2, 6, 7, 8}) {
        call.shape(input, 1);
        call.expect(input, 0, channels, "the channels of x");
    }
    for (std::size_t input : {3, 5}) call.expect(input, 0, channels, "the channels of x");
    for (std::size_t input : {3, 4}) call.expect(input, 1, 3 * channels, "three times the channels of x");
    call.expect(5, 1, channels, "the channels of x");
    if (addend[0] != 1) call.expect(4, 0, x[1], "1, or the positions of x");
    if (heads < 1 || channels % static_cast<std::size_t>(heads))
        throw OpError("num_heads " + std::to_string(heads) + " does not divide the " + std::to_string(channels) + " channels");

    SelfAttention problem{call.floats(0), call.floats(1), call.floats(2), nullptr, call.floats(4), nullptr, call.floats(6),
                          call.floats(7), call.floats(8), call.output({x[0], x[1], channels}), x[0], x[1], channels,
                          static_cast<std::size_t>(heads), addend[0] == 1, nullptr, nullptr};
    auto prepared = std::static_pointer_cast<const Prepared>(call.state());
    const bool known = prepared && prepared->packed_for == isa();
    if (!known) prepared = std::make_shared<const Prepared>(channels);
    problem.packed = prepared->into.data();
    problem.out_packed = prepared->out.data();
    if (!known) {
        problem.weight = call.floats(3);
        problem.out_weight = call.floats(5);
        require_memory(RSSEG_BEST(self_attention_pack)(problem, call.threads()));
    }
    require_memory(RSSEG_BEST(self_attention)(problem, call.threads()));
    if (!known && call.constant(3) && call.constant(5)) call.keep(prepared);
}

}  // namespace

const Operator kSelfAttention{
    "SelfAttention",
    {"x", "norm_weight", "norm_bias", "weight", "addend", "out_weight", "out_bias", "out_norm_weight", "out_norm_bias"},
    {false, false, false, false, false, false, false, false, false},
    {"num_heads"},
    &compute};

}  // namespace rsseg
