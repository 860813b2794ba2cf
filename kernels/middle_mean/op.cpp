#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {

const Operator kMiddleMean{"MiddleMean", {"x"}, {false}, {"factor"}, [](Call& call) {
    const auto x = call.shape(0, 4);
    const auto factor = static_cast<std::size_t>(call.attribute(0));
    if (call.attribute(0) < 2 || factor % 2 || x[2] % factor || x[3] % factor)
        throw OpError("factor " + std::to_string(call.attribute(0)) + " is not even or does not divide " + std::to_string(x[2]) +
                      " and " + std::to_string(x[3]));
    const MiddleMean problem{call.floats(0), call.output({x[0], x[1], x[2] / factor, x[3] / factor}), x[0] * x[1], x[2], x[3], factor};
    require_memory(RSSEG_BEST(middle_mean)(problem, call.threads()));
}};

}  // namespace rsseg
