#include "op.h"

#include <memory>

#include "../common/packed.h"
#include "cpu.h"

namespace rsseg {
namespace {

// Weights that are constants of the graph, as the kernel of an instruction set reads them.
struct Prepared : Call::State {
    explicit Prepared(std::size_t floats) : weights(floats) {}
    Packed weights;
    Isa made_for = Isa::scalar;
};

}  // namespace

void q_block(Call& call, bool expands) {
    const std::size_t depth = expands ? 5 : 1, project = depth + 3, last = project + 4;
    const auto x = call.shape(0, 4), window = call.shape(depth, 3), outer = call.shape(project, 2), addend = call.shape(project + 3, 4);
    const std::size_t hidden = window[0], outputs = outer[0];
    const auto stride = static_cast<std::size_t>(call.attribute(1));
    if (call.attribute(1) < 1 || stride > 2) throw OpError("stride " + std::to_string(call.attribute(1)) + " is neither 1 nor 2");
    const auto offset = static_cast<std::size_t>(call.attribute(2));
    if (call.attribute(2) < 0 || offset >= stride || offset >= x[1] || offset >= x[2])
        throw OpError("offset " + std::to_string(call.attribute(2)) + " is not below the stride and the sides of x");
    if (window[1] != 3 && window[1] != 5) throw OpError("depth_weight has a window of " + std::to_string(window[1]) + ", expected 3 or 5");
    call.expect(depth, 2, window[1], "a square window");
    if (call.attribute(0) != static_cast<std::int64_t>(hidden))
        throw OpError("channels " + std::to_string(call.attribute(0)) + " are not the " + std::to_string(hidden) + " of depth_weight");
    const auto vector = [&](std::size_t input, std::size_t size, const char* because) {
        call.shape(input, 1);
        call.expect(input, 0, size, because);
    };
    if (expands) {
        vector(1, 2, "a step and a zero");
        call.shape(2, 2);
        call.expect(2, 0, hidden, "the channels of depth_weight");
        call.expect(2, 1, x[3], "the channels of x");
        for (std::size_t input : {3, 4}) vector(input, hidden, "the rows of expand_weight");
    } else {
        call.expect(depth, 0, x[3], "the channels of x");
    }
    vector(depth + 1, hidden, "the channels of depth_weight");
    vector(depth + 2, 2, "a step and a zero");
    call.expect(project, 1, hidden, "the channels of depth_weight");
    for (std::size_t input : {project + 1, project + 2}) vector(input, outputs, "the rows of project_weight");
    const Call::Shape made{x[0], q_block_out(x[1], stride, offset), q_block_out(x[2], stride, offset), outputs};
    const bool everywhere = addend != Call::Shape{1, 1, 1, 1};
    for (std::size_t axis = 0; everywhere && axis < 4; ++axis) call.expect(project + 3, axis, made[axis], "the output, or 1 in every axis");
    vector(last, 4, "two of the hidden channels and two of the output");

    QBlock problem{};
    problem.x = call.floats(0);
    problem.limits = call.floats(last);
    problem.hidden_step = call.floats(depth + 2);
    if (expands) problem.x_step = call.floats(1);
    problem.addend = call.floats(project + 3);
    problem.addend_everywhere = everywhere;
    problem.output = call.output({made[0], made[1], made[2], made[3]});
    problem.batch = x[0];
    problem.height = x[1];
    problem.width = x[2];
    problem.channels = x[3];
    problem.hidden = hidden;
    problem.outputs = outputs;
    problem.window = window[1];
    problem.stride = stride;
    problem.offset = offset;
    problem.expands = expands;

    auto prepared = std::static_pointer_cast<const Prepared>(call.state());
    if (!prepared || prepared->made_for != isa()) {
        auto fresh = std::make_shared<Prepared>(q_block_packed_size(problem));
        fresh->made_for = isa();
        if (expands) {
            problem.expand_weight = call.floats(2);
            problem.expand_step = call.floats(3);
            problem.expand_bias = call.floats(4);
        }
        problem.depth_weight = call.floats(depth);
        problem.depth_bias = call.floats(depth + 1);
        problem.project_weight = call.floats(project);
        problem.project_step = call.floats(project + 1);
        problem.project_bias = call.floats(project + 2);
        problem.packed = fresh->weights.data();
        require_memory(RSSEG_BEST_OF_BYTES(q_block_pack)(problem, call.threads()));
        prepared = fresh;
        bool constant = true;
        for (std::size_t input = 1; input < last; ++input) constant = constant && (input == project + 3 || call.constant(input));
        if (constant) call.keep(fresh);
    }
    problem.packed = prepared->weights.data();
    require_memory(RSSEG_BEST_OF_BYTES(q_block)(problem, call.threads()));
}

const Operator kQInvertedResidual{
    "QInvertedResidual",
    {"x", "x_step", "expand_weight", "expand_step", "expand_bias", "depth_weight", "depth_bias", "hidden_step", "project_weight",
     "project_step", "project_bias", "addend", "limits"},
    std::vector<bool>(13, false),
    {"channels", "stride", "offset"},
    [](Call& call) { q_block(call, true); }};

}  // namespace rsseg
