// The library's entry point: registers the operators with a session's options.
#include "../upsample_decide/cpu.h"
#include "dispatch.h"
#include "ort_op.h"

#if defined(_WIN32)
#define RSSEG_EXPORT extern "C" __declspec(dllexport)
#else
#define RSSEG_EXPORT extern "C" __attribute__((visibility("default")))
#endif

using namespace rsseg;

// Which instruction set the kernels of a session registered from now on run; "" leaves it as it is. Returns the name of
// the one in use. For tests and benchmarks: a session picks the best by itself.
RSSEG_EXPORT const char* rsseg_limit_isa(const char* name) {
    for (Isa candidate : {Isa::scalar, Isa::vec128, Isa::avx2, Isa::avx512, Isa::vnni})
        if (std::string(name) == isa_name(candidate)) limit_isa(candidate);
    return isa_name(isa());
}

// UpsampleDecide without a runtime, on the thread that calls; false where there was no memory. For scenes, whose shares are
// those of many runs blended.
RSSEG_EXPORT bool rsseg_upsample_decide(const float* shares, std::uint8_t* class_map, std::uint8_t* confidence, std::size_t classes,
                                        std::size_t height, std::size_t width) {
    const Threads alone{[](const Threads&, void (*task)(void*, std::size_t), std::size_t count, void* argument) {
                            for (std::size_t i = 0; i < count; ++i) task(argument, i);
                        },
                        nullptr};
    return RSSEG_BEST(upsample_decide)({shares, class_map, confidence, 1, classes, height, width}, alone);
}

RSSEG_EXPORT ort::Status* RegisterCustomOps(ort::SessionOptions* options, const ort::ApiBase* base) {
    const ort::Api* oldest = base->GetApi(ort::kOldest);
    if (!oldest) {
        // There is no table to report with: the first version's has CreateStatus in the same place.
        const ort::Api* first = base->GetApi(1);
        const std::string message = std::string("rsseg: the operators need ONNX Runtime 1.16 or later, this is ") + base->GetVersionString();
        return first ? first->at<ort::CreateStatusFn>(ort::CreateStatus)(ort::kFail, message.c_str()) : nullptr;
    }
    const ort::Api* newer = base->GetApi(ort::kParallelFor);
    set_parallel_for(newer != nullptr);
    const ort::Api& api = newer ? *newer : *oldest;

    // They live as long as the library: sessions refer to them.
    static const Registration registrations[] = {
        {kMaskedAttention, false},          {kMaskedAttention, true},          {kBilateralKernel, false},
        {kBilateralKernel, true},           {kAdaptiveUpsample, false},        {kAdaptiveUpsample, true},
        {kAdaptiveUpsampleClassify, false}, {kAdaptiveUpsampleClassify, true}, {kMSDeformAttn, false},
        {kMSDeformAttn, true},              {kConv3x3Relu, false},             {kConv3x3Relu, true},
        {kUpsampleConv3x3Relu, false},      {kUpsampleConv3x3Relu, true},      {kPixelMLP, false},
        {kPixelMLP, true},                  {kFixupKernel, false},             {kFixupKernel, true},
        {kSelfAttention, false},            {kSelfAttention, true},            {kCrossAttention, false},
        {kCrossAttention, true},            {kFeedForward, false},             {kFeedForward, true},
        {kQInvertedResidual, false},        {kQInvertedResidual, true},        {kQSeparableConv, false},
        {kQSeparableConv, true},           {kUpsampleDecide, false},          {kUpsampleDecide, true},
        {kMiddleMean, false},               {kMiddleMean, true},
    };
    ort::CustomOpDomain* domain = nullptr;
    if (auto* failed = api.at<ort::CreateCustomOpDomainFn>(ort::CreateCustomOpDomain)("rsseg", &domain)) return failed;
    for (const Registration& registration : registrations)
        if (auto* failed = api.at<ort::CustomOpDomainAddFn>(ort::CustomOpDomain_Add)(domain, &registration)) return failed;
    return api.at<ort::AddCustomOpDomainFn>(ort::AddCustomOpDomain)(options, domain);
}
