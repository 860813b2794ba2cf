#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {
namespace {

void check_levels(const std::int64_t* shapes, const std::int64_t* starts, std::size_t levels, std::size_t pixels) {
    const auto all = static_cast<std::int64_t>(pixels);
    for (std::size_t l = 0; l < levels; ++l) {
        const std::int64_t height = shapes[2 * l], width = shapes[2 * l + 1], start = starts[l];
        // Divisions, not products: sizes from a model must not overflow.
        if (height < 1 || width < 1 || start < 0 || start > all || height > all || width > (all - start) / height)
            throw OpError("level " + std::to_string(l) + ", " + std::to_string(height) + "x" + std::to_string(width) + " from pixel " +
                          std::to_string(start) + ", does not lie in the " + std::to_string(pixels) + " pixels of value");
    }
}

void compute(Call& call) {
    const auto value = call.shape(0, 4), locations = call.shape(3, 6);
    call.shape(1, 2);
    call.shape(2, 1);
    call.shape(4, 5);
    const std::size_t batch = value[0], pixels = value[1], heads = value[2], depth = value[3];
    const std::size_t queries = locations[1], levels = locations[3], points = locations[4];
    call.expect(1, 0, levels, "the levels of sampling_locations");
    call.expect(1, 1, 2, "height and width");
    call.expect(2, 0, levels, "the levels of sampling_locations");
    call.expect(3, 0, batch, "the batch of value");
    call.expect(3, 2, heads, "the heads of value");
    call.expect(3, 5, 2, "x and y");
    for (std::size_t axis = 0; axis < 5; ++axis) call.expect(4, axis, locations[axis], "as sampling_locations");
    check_levels(call.ints(1), call.ints(2), levels, pixels);
    const MSDeformAttn problem{call.floats(0), call.ints(1), call.ints(2), call.floats(3), call.floats(4),
                               call.output({batch, queries, heads * depth}), batch, pixels, heads, depth, queries, levels, points};
    require_memory(RSSEG_BEST(ms_deform_attn)(problem, call.threads()));
}

}  // namespace

const Operator kMSDeformAttn{
    "MSDeformAttn",
    {"value", "spatial_shapes", "level_start_index", "sampling_locations", "attention_weights"},
    {false, true, true, false, false},
    {},
    &compute};

}  // namespace rsseg
