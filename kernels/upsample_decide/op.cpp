#include "../common/ort_op.h"
#include "cpu.h"

namespace rsseg {

const Operator kUpsampleDecide{"UpsampleDecide",
                               {"shares"},
                               {false},
                               {"classes"},
                               [](Call& call) {
                                   const auto shares = call.shape(0, 4);
                                   const std::int64_t classes = call.attribute(0);
                                   if (classes < 1 || classes > 256)
                                       throw OpError("classes " + std::to_string(classes) + " do not fit a byte");
                                   call.expect(0, 1, static_cast<std::size_t>(classes), "the classes");
                                   UpsampleDecide problem{};
                                   problem.shares = call.floats(0);
                                   problem.class_map = call.bytes(0, {shares[0], 4 * shares[2], 4 * shares[3]});
                                   problem.confidence = call.bytes(1, {shares[0], 4 * shares[2], 4 * shares[3]});
                                   problem.batch = shares[0];
                                   problem.classes = shares[1];
                                   problem.height = shares[2];
                                   problem.width = shares[3];
                                   require_memory(RSSEG_BEST(upsample_decide)(problem, call.threads()));
                               },
                               2};

}  // namespace rsseg
