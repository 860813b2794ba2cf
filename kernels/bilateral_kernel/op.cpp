#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {
namespace {

void compute(Call& call) {
    const auto range = call.shape(0, 4);
    call.shape(1, 1);
    call.shape(2, 1);
    const std::int64_t radius = call.attribute(0);
    const std::size_t area = window_area(radius, range[1], range[2]);
    call.expect(1, 0, area, "one weight for every place in the window");
    call.expect(2, 0, 1, "one temperature");
    const BilateralKernel problem{call.floats(0), call.floats(1), call.floats(2),
                                  call.output({range[0], range[1], range[2], area}), range[0], range[1], range[2], range[3],
                                  static_cast<std::size_t>(radius)};
    require_memory(RSSEG_BEST(bilateral_kernel)(problem, call.threads()));
}

}  // namespace

const Operator kBilateralKernel{
    "BilateralKernel", {"range", "spatial", "temperature"}, {false, false, false}, {"radius"}, &compute};

}  // namespace rsseg
