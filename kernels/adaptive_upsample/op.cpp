#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {
namespace {

void compute(Call& call) {
    const auto features = call.shape(0, 4);
    call.shape(1, 4);
    const std::size_t batch = features[0], height = features[1], width = features[2], channels = features[3];
    const std::int64_t radius = call.attribute(0);
    const std::size_t area = window_area(radius, 2 * height, 2 * width);
    call.expect(1, 0, batch, "the batch of features");
    call.expect(1, 1, 2 * height, "twice the height of features");
    call.expect(1, 2, 2 * width, "twice the width of features");
    call.expect(1, 3, area, "one weight for every place in the window");
    const Fold fold(height, width, static_cast<int>(radius));
    const AdaptiveUpsample problem{call.floats(0), call.floats(1), call.output({batch, 2 * height, 2 * width, channels}),
                                   batch, height, width, channels, fold.tables()};
    require_memory(RSSEG_BEST(adaptive_upsample)(problem, call.threads()));
}

}  // namespace

const Operator kAdaptiveUpsample{"AdaptiveUpsample", {"features", "kernel"}, {false, false}, {"radius"}, &compute};

}  // namespace rsseg
