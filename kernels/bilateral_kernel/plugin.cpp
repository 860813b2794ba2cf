#include "../common/trt_plugin.h"

namespace rsseg::trt {
namespace {

std::int64_t area(int radius) { return static_cast<std::int64_t>(2 * radius + 1) * (2 * radius + 1); }

std::string objection(const Problem& p) {
    if (p.attribute != 3 && p.attribute != 5) return "kernels ship for radius 3 and 5, not for " + std::to_string(p.attribute);
    if (p.size(0, 1) <= p.attribute || p.size(0, 2) <= p.attribute) return "the radius does not fit the image";
    if (p.size(0, 3) % 16) return "the range features must be a multiple of 16 channels";
    if (p.size(1, 0) != area(p.attribute)) return "spatial needs one weight for every place in the window";
    return p.size(2, 0) == 1 ? "" : "temperature is one number";
}

std::string kernel(const Problem& p) { return "bilateral_kernel_kernel_r" + std::to_string(p.attribute) + p.precision(); }

int launch(const Launch& l) {
    const Problem& p = l.problem;
    const PtxKernel& k = l.kernel(kernel(p));
    const auto height = static_cast<std::int32_t>(p.size(0, 1)), width = static_cast<std::int32_t>(p.size(0, 2));
    return k.launch(l.stream, blocks(width, k.number("BLOCK_X")), static_cast<std::size_t>(p.size(0, 0) * height), 1, l.inputs[0],
                    l.inputs[1], l.inputs[2], l.output, height, width, static_cast<std::int32_t>(p.size(0, 3)));
}

}  // namespace

const Operator kBilateralKernel{
    "BilateralKernel",
    {4, 1, 1},
    "radius",
    [](const nvinfer1::DimsExprs* in, int radius, nvinfer1::IExprBuilder& builder) {
        nvinfer1::DimsExprs out = in[0];
        out.d[3] = builder.constant(area(radius));
        return out;
    },
    &objection,
    [](const Problem&) -> std::size_t { return 0; },
    [](const Problem& p) { return std::vector<std::string>{kernel(p)}; },
    &launch,
};

}  // namespace rsseg::trt
