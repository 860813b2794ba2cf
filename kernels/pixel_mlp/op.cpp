#include "op.h"

#include <memory>
#include <vector>

#include "cpu.h"

namespace rsseg {
namespace {

// Weights that are constants of the graph, as the kernel of an instruction set reads them.
struct Packed : Call::State {
    std::vector<float> weights;
    Isa made_for = Isa::scalar;
};

}  // namespace

void pixel_mlp(Call& call, bool fixup) {
    const std::size_t first = fixup ? 2 : 1;  // of the weights
    const auto x = call.shape(0, 4), weight1 = call.shape(first, 2), weight2 = call.shape(first + 2, 2);
    call.shape(first + 1, 1);
    call.shape(first + 3, 1);
    const std::size_t hidden = weight1[0], outputs = weight2[0];
    std::size_t side = 0;
    if (fixup) {
        side = call.shape(1, 4)[3];
        for (std::size_t axis : {0, 1, 2}) call.expect(1, axis, x[axis], "the size of kernel");
        call.expect(first + 2, 0, x[3], "the window of kernel");
    }
    call.expect(first, 1, x[3] + side, fixup ? "the window and the guidance's channels" : "the channels of x");
    call.expect(first + 1, 0, hidden, "the rows of weight1");
    call.expect(first + 2, 1, hidden, "the rows of weight1");
    call.expect(first + 3, 0, outputs, "the rows of weight2");

    PixelMlp problem{};
    problem.x = call.floats(0);
    problem.side = fixup ? call.floats(1) : nullptr;
    problem.output = call.output({x[0], x[1], x[2], outputs});
    problem.pixels = x[0] * x[1] * x[2];
    problem.channels = x[3];
    problem.side_channels = side;
    problem.hidden = hidden;
    problem.outputs = outputs;
    problem.residual = fixup;

    auto packed = std::static_pointer_cast<const Packed>(call.state());
    if (!packed || packed->made_for != isa()) {
        auto made = std::make_shared<Packed>();
        made->weights.resize(pixel_mlp_packed_size(problem));
        made->made_for = isa();
        problem.weight1 = call.floats(first);
        problem.bias1 = call.floats(first + 1);
        problem.weight2 = call.floats(first + 2);
        problem.bias2 = call.floats(first + 3);
        problem.packed = made->weights.data();
        require_memory(RSSEG_BEST(pixel_mlp_pack)(problem, call.threads()));
        packed = made;
        if (call.constant(first) && call.constant(first + 1) && call.constant(first + 2) && call.constant(first + 3)) call.keep(made);
    }
    problem.packed = const_cast<float*>(packed->weights.data());  // the kernel only reads it
    require_memory(RSSEG_BEST(pixel_mlp)(problem, call.threads()));
}

const Operator kPixelMLP{"PixelMLP",
                         {"x", "weight1", "bias1", "weight2", "bias2"},
                         {false, false, false, false, false},
                         {},
                         [](Call& call) { pixel_mlp(call, false); }};

}  // namespace rsseg
