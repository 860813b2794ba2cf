// What an operator says about itself to TensorRT. The interfaces themselves are in trt_plugin.cpp.
#pragma once

#include <NvInfer.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptx_kernel.h"

namespace rsseg::trt {

// One call: static shapes, float32 or float16, linear layouts.
struct Problem {
    std::vector<std::vector<std::int64_t>> shapes;  // of the inputs
    int attribute;
    bool half;

    std::int64_t size(std::size_t input, std::size_t axis) const { return shapes[input][axis]; }
    std::size_t bytes(std::size_t elements) const { return elements * (half ? 2 : 4); }
    std::string precision() const { return half ? "_fp16" : "_fp32"; }
};

using Kernels = std::map<std::string, std::unique_ptr<PtxKernel>>;

struct Launch {
    const Problem& problem;
    const Kernels& kernels;
    const void* const* inputs;
    void* output;
    void* workspace;
    cuda::Stream stream;

    const PtxKernel& kernel(const std::string& name) const { return *kernels.at(name); }
};

struct Operator {
    const char* name;
    std::vector<int> ranks;  // of the inputs
    const char* attribute;
    // The output's shape from the inputs'.
    nvinfer1::DimsExprs (*shape)(const nvinfer1::DimsExprs* inputs, int attribute, nvinfer1::IExprBuilder& builder);
    // Why a call does not fit the kernels that ship; empty where it does. Ranks are right already.
    std::string (*objection)(const Problem& problem);
    std::size_t (*workspace)(const Problem& problem);
    std::vector<std::string> (*kernels)(const Problem& problem);
    int (*launch)(const Launch& launch);  // returns the driver's result
};

// Declared in each room's plugin.cpp.
extern const Operator kMaskedAttention, kBilateralKernel, kAdaptiveUpsample, kAdaptiveUpsampleClassify;

inline std::size_t blocks(std::int64_t size, unsigned block) {
    return (static_cast<std::size_t>(size) + block - 1) / block;
}

// Why an adaptive upsampling does not fit; empty where it does.
std::string upsampling_objection(const Problem& problem);
// Elements of the folded kernels: see adaptive_upsample/fold.h.
std::size_t folded_elements(const Problem& problem);
// Folds the kernels (input 1) into memory.
int launch_fold(const Launch& launch, const void* folded);

}  // namespace rsseg::trt
