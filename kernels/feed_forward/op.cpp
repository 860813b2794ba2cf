#include <memory>

#include "../common/ort_op.h"
#include "../common/packed.h"
#include "cpu.h"

namespace rsseg {
namespace {

// Weights that are constants of the graph, as the kernel of an instruction set reads them.
struct Prepared : Call::State {
    Prepared(std::size_t channels, std::size_t hidden)
        : first(packed_size(channels, hidden)), second(packed_size(hidden, channels)), packed_for(isa()) {}
    Packed first, second;
    Isa packed_for;
};

void compute(Call& call) {
    const auto x = call.shape(0, 3), weight1 = call.shape(3, 2);
    const std::size_t channels = x[2], hidden = weight1[1];
    call.expect(3, 0, channels, "the channels of x");
    for (std::size_t input : {1, 2, 8}) {
        call.shape(input, 1);
        call.expect(input, 0, channels, "the channels of x");
    }
    for (std::size_t input : {4, 5, 6}) {
        call.shape(input, 1);
        call.expect(input, 0, hidden, "the columns of weight1");
    }
    call.shape(7, 2);
    call.expect(7, 0, hidden, "the columns of weight1");
    call.expect(7, 1, channels, "the channels of x");

    FeedForward problem{call.floats(0), call.floats(1), call.floats(2), nullptr, call.floats(4), call.floats(5), call.floats(6), nullptr,
                        call.floats(8), call.output({x[0], x[1], channels}), x[0] * x[1], channels, hidden, nullptr, nullptr};
    auto prepared = std::static_pointer_cast<const Prepared>(call.state());
    const bool known = prepared && prepared->packed_for == isa();
    if (!known) prepared = std::make_shared<const Prepared>(channels, hidden);
    problem.packed1 = prepared->first.data();
    problem.packed2 = prepared->second.data();
    if (!known) {
        problem.weight1 = call.floats(3);
        problem.weight2 = call.floats(7);
        require_memory(RSSEG_BEST(feed_forward_pack)(problem, call.threads()));
    }
    require_memory(RSSEG_BEST(feed_forward)(problem, call.threads()));
    if (!known && call.constant(3) && call.constant(7)) call.keep(prepared);
}

}  // namespace

const Operator kFeedForward{
    "FeedForward",
    {"x", "norm_weight", "norm_bias", "weight1", "bias1", "inner_weight", "inner_bias", "weight2", "bias2"},
    {false, false, false, false, false, false, false, false, false},
    {},
    &compute};

}  // namespace rsseg
