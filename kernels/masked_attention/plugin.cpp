#include <cmath>

#include "../common/trt_plugin.h"

namespace rsseg::trt {
namespace {

std::string objection(const Problem& p) {
    const std::int64_t channels = p.size(0, 2), heads = p.attribute, depth = channels / heads;
    if (channels % heads || (depth != 16 && depth != 32 && depth != 64))
        return "kernels ship for 16, 32 and 64 channels a head, not for " + std::to_string(channels) + " in " + std::to_string(heads) + " heads";
    for (std::size_t input : {1, 2, 3})
        if (p.size(input, 0) != p.size(0, 0)) return "the batches differ";
    if (p.size(1, 2) != channels || p.size(2, 2) != channels) return "the channels differ";
    if (p.size(2, 1) != p.size(1, 1) || p.size(3, 2) != p.size(1, 1)) return "the lengths differ";
    return p.size(3, 1) == p.size(0, 1) ? "" : "mask_logits is for another number of queries";
}

std::string kernel(const Problem& p) {
    return "masked_attention_kernel_d" + std::to_string(p.size(0, 2) / p.attribute) + p.precision();
}

int launch(const Launch& l) {
    const Problem& p = l.problem;
    const PtxKernel& k = l.kernel(kernel(p));
    const auto queries = static_cast<std::int32_t>(p.size(0, 1)), length = static_cast<std::int32_t>(p.size(1, 1));
    const std::int32_t heads = p.attribute;
    const std::int64_t depth = p.size(0, 2) / heads;  // without remainder: see objection
    const float scale = 1 / std::sqrt(static_cast<float>(depth));
    return k.launch(l.stream, blocks(queries, k.number("BLOCK_N")), static_cast<std::size_t>(p.size(0, 0) * heads), 1, l.inputs[0],
                    l.inputs[1], l.inputs[2], l.inputs[3], l.output, queries, length, heads, scale);
}

}  // namespace

const Operator kMaskedAttention{
    "MaskedAttention",
    {3, 3, 3, 3},
    "num_heads",
    [](const nvinfer1::DimsExprs* in, int, nvinfer1::IExprBuilder&) { return in[0]; },
    &objection,
    [](const Problem&) -> std::size_t { return 0; },
    [](const Problem& p) { return std::vector<std::string>{kernel(p)}; },
    &launch,
};

}  // namespace rsseg::trt
