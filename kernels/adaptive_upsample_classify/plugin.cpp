#include "../common/trt_plugin.h"

namespace rsseg::trt {
namespace {

std::string radius(const Problem& p) { return "_r" + std::to_string(p.attribute) + p.precision(); }
std::int64_t pixels(const Problem& p) { return p.size(0, 0) * p.size(0, 1) * p.size(0, 2); }

// Folded kernels first, then the projections, on a boundary that vector loads are aligned to.
std::size_t projections_begin(const Problem& p) { return (p.bytes(folded_elements(p)) + 255) / 256 * 256; }

std::string objection(const Problem& p) {
    const std::string reason = upsampling_objection(p);
    if (!reason.empty()) return reason;
    if (p.size(2, 0) != p.size(0, 3) || p.size(3, 1) != p.size(0, 3)) return "bias and text must have the channels of features";
    return "";
}

int launch(const Launch& l) {
    const Problem& p = l.problem;
    const void* folded = l.workspace;
    const void* projected = static_cast<char*>(l.workspace) + projections_begin(p);
    if (const int failed = launch_fold(l, folded)) return failed;
    const auto all = static_cast<std::int32_t>(pixels(p)), height = static_cast<std::int32_t>(p.size(0, 1));
    const auto width = static_cast<std::int32_t>(p.size(0, 2)), channels = static_cast<std::int32_t>(p.size(0, 3));
    const auto classes = static_cast<std::int32_t>(p.size(3, 0));
    const PtxKernel& project = l.kernel("project_kernel" + p.precision());
    const int failed = project.launch(l.stream, blocks(all + 1, project.number("BLOCK_P")), blocks(classes, project.number("BLOCK_Q")),
                                      1, l.inputs[0], l.inputs[2], l.inputs[3], projected, all, channels, classes);
    if (failed) return failed;
    const PtxKernel& classify = l.kernel("adaptive_upsample_classify_kernel" + radius(p));
    return classify.launch(l.stream, blocks(width, 8), static_cast<std::size_t>(p.size(0, 0) * height), 1, l.inputs[0], folded,
                           l.inputs[2], projected, l.output, all, height, width, channels, classes);
}

}  // namespace

const Operator kAdaptiveUpsampleClassify{
    "AdaptiveUpsampleClassify",
    {4, 4, 1, 2},
    "radius",
    [](const nvinfer1::DimsExprs* in, int, nvinfer1::IExprBuilder&) {
        nvinfer1::DimsExprs out = in[1];
        out.d[3] = in[3].d[0];
        return out;
    },
    &objection,
    [](const Problem& p) { return projections_begin(p) + p.bytes(static_cast<std::size_t>((pixels(p) + 1) * p.size(3, 0))); },
    [](const Problem& p) {
        return std::vector<std::string>{"fold_kernel" + radius(p), "project_kernel" + p.precision(),
                                        "adaptive_upsample_classify_kernel" + radius(p)};
    },
    &launch,
};

}  // namespace rsseg::trt
