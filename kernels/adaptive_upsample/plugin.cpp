#include "../common/trt_plugin.h"

namespace rsseg::trt {
namespace {

std::string radius(const Problem& p) { return "_r" + std::to_string(p.attribute) + p.precision(); }

int launch(const Launch& l) {
    const Problem& p = l.problem;
    if (const int failed = launch_fold(l, l.workspace)) return failed;
    const PtxKernel& k = l.kernel("adaptive_upsample_kernel" + radius(p));
    const auto height = static_cast<std::int32_t>(p.size(0, 1)), width = static_cast<std::int32_t>(p.size(0, 2));
    const auto channels = static_cast<std::int32_t>(p.size(0, 3));
    const void* folded = l.workspace;
    return k.launch(l.stream, blocks(channels, k.number("BLOCK_C")), blocks(width, 8), static_cast<std::size_t>(p.size(0, 0) * height),
                    l.inputs[0], folded, l.output, height, width, channels);
}

}  // namespace

std::string upsampling_objection(const Problem& p) {
    const std::int64_t r = p.attribute;
    if (r != 3 && r != 5) return "kernels ship for radius 3 and 5, not for " + std::to_string(r);
    if (2 * p.size(0, 1) <= r || 2 * p.size(0, 2) <= r) return "the radius does not fit the image";
    if (p.size(0, 3) % 16) return "features must be a multiple of 16 channels";
    if (p.size(1, 0) != p.size(0, 0) || p.size(1, 1) != 2 * p.size(0, 1) || p.size(1, 2) != 2 * p.size(0, 2))
        return "kernel must be for twice the size of features";
    return p.size(1, 3) == (2 * r + 1) * (2 * r + 1) ? "" : "kernel needs one weight for every place in the window";
}

std::size_t folded_elements(const Problem& p) {
    const std::int64_t window = 2 * (p.attribute / 2) + 5;
    return static_cast<std::size_t>(p.size(0, 0) * p.size(0, 1) * p.size(0, 2) * 4 * window * window);
}

int launch_fold(const Launch& l, const void* folded) {
    const Problem& p = l.problem;
    const PtxKernel& k = l.kernel("fold_kernel" + radius(p));
    const auto height = static_cast<std::int32_t>(p.size(0, 1)), width = static_cast<std::int32_t>(p.size(0, 2));
    return k.launch(l.stream, blocks(width, k.number("BLOCK_P") / 4), static_cast<std::size_t>(p.size(0, 0) * height), 1, l.inputs[1],
                    folded, height, width);
}

const Operator kAdaptiveUpsample{
    "AdaptiveUpsample",
    {4, 4},
    "radius",
    [](const nvinfer1::DimsExprs* in, int, nvinfer1::IExprBuilder&) {
        nvinfer1::DimsExprs out = in[1];
        out.d[3] = in[0].d[3];
        return out;
    },
    &upsampling_objection,
    [](const Problem& p) { return p.bytes(folded_elements(p)); },
    [](const Problem& p) { return std::vector<std::string>{"fold_kernel" + radius(p), "adaptive_upsample_kernel" + radius(p)}; },
    &launch,
};

}  // namespace rsseg::trt
