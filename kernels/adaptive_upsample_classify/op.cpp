#include "../adaptive_upsample/cpu.h"
#include "../common/ort_op.h"

namespace rsseg {
namespace {

void compute(Call& call) {
    const auto features = call.shape(0, 4), text = call.shape(3, 2);
    call.shape(1, 4);
    call.shape(2, 1);
    const std::size_t batch = features[0], height = features[1], width = features[2], channels = features[3];
    const std::int64_t radius = call.attribute(0);
    const std::size_t area = window_area(radius, 2 * height, 2 * width), classes = text[0];
    call.expect(1, 0, batch, "the batch of features");
    call.expect(1, 1, 2 * height, "twice the height of features");
    call.expect(1, 2, 2 * width, "twice the width of features");
    call.expect(1, 3, area, "one weight for every place in the window");
    call.expect(2, 0, channels, "the channels of features");
    call.expect(3, 1, channels, "the channels of features");
    const Fold fold(height, width, static_cast<int>(radius));
    const AdaptiveUpsample problem{call.floats(0), call.floats(1), call.output({batch, 2 * height, 2 * width, classes}),
                                   batch, height, width, channels, fold.tables(), call.floats(2), call.floats(3), classes};
    require_memory(RSSEG_BEST(adaptive_upsample_classify)(problem, call.threads()));
}

}  // namespace

const Operator kAdaptiveUpsampleClassify{"AdaptiveUpsampleClassify",
                                         {"features", "kernel", "bias", "text"},
                                         {false, false, false, false},
                                         {"radius"},
                                         &compute};

}  // namespace rsseg
