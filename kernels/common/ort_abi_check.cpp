// Compiled only where CMake finds ONNX Runtime's own header: our declarations name the same places.
#include <onnxruntime_c_api.h>

#include "ort_abi.h"

#define RSSEG_SAME_PLACE(name) \
    static_assert(offsetof(OrtApi, name) == rsseg::ort::name * sizeof(void*), #name " lies elsewhere in OrtApi")

RSSEG_SAME_PLACE(CreateStatus);
RSSEG_SAME_PLACE(CreateCustomOpDomain);
RSSEG_SAME_PLACE(CustomOpDomain_Add);
RSSEG_SAME_PLACE(AddCustomOpDomain);
RSSEG_SAME_PLACE(GetTensorMutableData);
RSSEG_SAME_PLACE(GetTensorElementType);
RSSEG_SAME_PLACE(GetDimensionsCount);
RSSEG_SAME_PLACE(GetDimensions);
RSSEG_SAME_PLACE(GetTensorTypeAndShape);
RSSEG_SAME_PLACE(KernelInfoGetAttribute_int64);
RSSEG_SAME_PLACE(KernelContext_GetInput);
RSSEG_SAME_PLACE(KernelContext_GetOutput);
RSSEG_SAME_PLACE(KernelInfoGetConstantInput_tensor);
RSSEG_SAME_PLACE(ReleaseStatus);
RSSEG_SAME_PLACE(ReleaseTensorTypeAndShapeInfo);
#if ORT_API_VERSION >= 17
RSSEG_SAME_PLACE(KernelContext_ParallelFor);
#endif

#define RSSEG_SAME_FIELD(name) \
    static_assert(offsetof(OrtCustomOp, name) == offsetof(rsseg::ort::CustomOp, name), #name " lies elsewhere in OrtCustomOp")

RSSEG_SAME_FIELD(CreateKernel);
RSSEG_SAME_FIELD(GetName);
RSSEG_SAME_FIELD(GetExecutionProviderType);
RSSEG_SAME_FIELD(GetInputType);
RSSEG_SAME_FIELD(GetInputTypeCount);
RSSEG_SAME_FIELD(GetOutputType);
RSSEG_SAME_FIELD(GetOutputTypeCount);
RSSEG_SAME_FIELD(KernelCompute);
RSSEG_SAME_FIELD(KernelDestroy);
RSSEG_SAME_FIELD(GetInputCharacteristic);
RSSEG_SAME_FIELD(GetOutputCharacteristic);
RSSEG_SAME_FIELD(GetInputMemoryType);
RSSEG_SAME_FIELD(GetVariadicInputMinArity);
RSSEG_SAME_FIELD(GetVariadicInputHomogeneity);
RSSEG_SAME_FIELD(GetVariadicOutputMinArity);
RSSEG_SAME_FIELD(GetVariadicOutputHomogeneity);
RSSEG_SAME_FIELD(CreateKernelV2);
RSSEG_SAME_FIELD(KernelComputeV2);
#if ORT_API_VERSION >= 17
static_assert(offsetof(OrtCustomOp, InferOutputShapeFn) == offsetof(rsseg::ort::CustomOp, InferOutputShape));
RSSEG_SAME_FIELD(GetStartVersion);
RSSEG_SAME_FIELD(GetEndVersion);
#endif

constexpr int number(int value) { return value; }
static_assert(number(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) == rsseg::ort::kFloat);
static_assert(number(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) == rsseg::ort::kInt64);
static_assert(number(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) == rsseg::ort::kHalf);
static_assert(number(ORT_FAIL) == rsseg::ort::kFail);
static_assert(number(ORT_INVALID_ARGUMENT) == rsseg::ort::kInvalidArgument);
static_assert(number(INPUT_OUTPUT_REQUIRED) == rsseg::ort::kRequired);
static_assert(number(OrtMemTypeDefault) == rsseg::ort::kDefault);
