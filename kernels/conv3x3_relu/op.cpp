#include "op.h"

#include <memory>

#include "../common/packed.h"
#include "cpu.h"

namespace rsseg {
namespace {

// Weights that are constants of the graph, as the kernel of an instruction set reads them, and the last image's plans.
struct Prepared : Call::State {
    Prepared(std::size_t height, std::size_t width, bool enlarged) : rows(height, enlarged), columns(width, enlarged) {}
    Plan rows, columns;
    std::shared_ptr<Packed> packed;
    Isa packed_for = Isa::scalar;
};

}  // namespace

void conv3x3_relu(Call& call, bool enlarged) {
    const auto x = call.shape(0, 4), weight = call.shape(1, 4), addend = call.shape(2, 4);
    const std::size_t batch = x[0], channels = x[1], filters = weight[0];
    const std::size_t height = x[2] * (enlarged ? 2 : 1), width = x[3] * (enlarged ? 2 : 1);
    call.expect(1, 1, channels, "the channels of x");
    for (std::size_t axis : {2, 3}) call.expect(1, axis, 3, "a kernel of 3x3");
    call.expect(2, 1, filters, "the filters of weight");
    if (addend[0] != 1) call.expect(2, 0, batch, "1, or the batch of x");
    if (addend[2] != 1) call.expect(2, 2, height, "1, or the height of the output");
    if (addend[3] != 1) call.expect(2, 3, width, "1, or the width of the output");

    auto known = std::static_pointer_cast<const Prepared>(call.state());
    const bool fits = known && known->rows.pixels() == x[2] && known->columns.pixels() == x[3] && known->packed && known->packed_for == isa();
    std::shared_ptr<Prepared> made;
    if (!fits) {
        made = std::make_shared<Prepared>(x[2], x[3], enlarged);
        if (known && known->packed && known->packed_for == isa()) made->packed = known->packed;
    }
    const Prepared& plans = fits ? *known : *made;
    Conv3x3 problem{call.floats(0), nullptr, call.floats(2), call.output({batch, filters, height, width}), batch, channels, filters,
                    addend[0], addend[2], addend[3], plans.rows.tables(), plans.columns.tables(), nullptr};
    if (made && !made->packed) {
        made->packed = std::make_shared<Packed>(conv3x3_packed_size(channels, filters));
        made->packed_for = isa();
        problem.weight = call.floats(1);
        problem.packed = made->packed->data();
        require_memory(RSSEG_BEST(conv3x3_pack)(problem, call.threads()));
    } else if (made) {
        made->packed_for = known->packed_for;
    }
    problem.packed = plans.packed->data();
    require_memory(RSSEG_BEST(conv3x3)(problem, call.threads()));
    if (made && call.constant(1)) call.keep(made);
}

const Operator kConv3x3Relu{
    "Conv3x3Relu", {"x", "weight", "addend"}, {false, false, false}, {}, [](Call& call) { conv3x3_relu(call, false); }};

}  // namespace rsseg
