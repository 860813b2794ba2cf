// The part of ONNX Runtime's C interface that a custom-operator library needs, declared here because no package ships
// the header. The interface is an append-only table of functions: a place in it never changes its meaning.
// ort_abi_check.cpp compares every place with the real header where CMake finds one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rsseg::ort {

struct Status;
struct Value;
struct ShapeInfo;
struct KernelInfo;
struct KernelContext;
struct CustomOpDomain;
struct SessionOptions;

// Versions of the interface, which are those of ONNX Runtime 1.x.
constexpr std::uint32_t kOldest = 16;       // the custom operators of 1.16 are those that we declare
constexpr std::uint32_t kParallelFor = 17;  // KernelContext_ParallelFor

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1, kUint8 = 2, kInt64 = 7, kHalf = 10 };
enum Characteristic : int { kRequired = 0 };
enum MemoryType : int { kDefault = 0 };

enum Place : int {
    CreateStatus = 0,
    CreateCustomOpDomain = 26,
    CustomOpDomain_Add = 27,
    AddCustomOpDomain = 28,
    GetTensorMutableData = 51,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorTypeAndShape = 65,
    KernelInfoGetAttribute_int64 = 86,
    KernelContext_GetInput = 90,
    KernelContext_GetOutput = 91,
    ReleaseStatus = 93,
    ReleaseTensorTypeAndShapeInfo = 99,
    KernelInfoGetConstantInput_tensor = 249,
    KernelContext_ParallelFor = 274,
};

struct Api {
    void (*places[1])();

    template <class Signature>
    Signature* at(Place place) const {
        return reinterpret_cast<Signature*>(*(&places[0] + place));
    }
};

using CreateStatusFn = Status*(int code, const char* message);
using CreateCustomOpDomainFn = Status*(const char* name, CustomOpDomain** out);
using CustomOpDomainAddFn = Status*(CustomOpDomain* domain, const struct CustomOp* op);
using AddCustomOpDomainFn = Status*(SessionOptions* options, CustomOpDomain* domain);
using GetTensorMutableDataFn = Status*(Value* value, void** out);
using GetTensorElementTypeFn = Status*(const ShapeInfo* info, int* out);
using GetDimensionsCountFn = Status*(const ShapeInfo* info, std::size_t* out);
using GetDimensionsFn = Status*(const ShapeInfo* info, std::int64_t* values, std::size_t count);
using GetTensorTypeAndShapeFn = Status*(const Value* value, ShapeInfo** out);
using GetAttributeInt64Fn = Status*(const KernelInfo* info, const char* name, std::int64_t* out);
using GetConstantInputFn = Status*(const KernelInfo* info, std::size_t index, int* is_constant, const Value** out);
using GetInputFn = Status*(const KernelContext* context, std::size_t index, const Value** out);
using GetOutputFn = Status*(KernelContext* context, std::size_t index, const std::int64_t* dims, std::size_t rank, Value** out);
using ReleaseStatusFn = void(Status* status);
using ReleaseShapeInfoFn = void(ShapeInfo* info);
using ParallelForFn = Status*(const KernelContext* context, void (*task)(void* argument, std::size_t i), std::size_t count,
                              std::size_t batches, void* argument);

struct ApiBase {
    const Api* (*GetApi)(std::uint32_t version);
    const char* (*GetVersionString)();
};

// Version 16 of OrtCustomOp.
struct CustomOp {
    std::uint32_t version;
    void* (*CreateKernel)(const CustomOp* op, const Api* api, const KernelInfo* info);
    const char* (*GetName)(const CustomOp* op);
    const char* (*GetExecutionProviderType)(const CustomOp* op);
    int (*GetInputType)(const CustomOp* op, std::size_t index);
    std::size_t (*GetInputTypeCount)(const CustomOp* op);
    int (*GetOutputType)(const CustomOp* op, std::size_t index);
    std::size_t (*GetOutputTypeCount)(const CustomOp* op);
    void (*KernelCompute)(void* kernel, KernelContext* context);
    void (*KernelDestroy)(void* kernel);
    int (*GetInputCharacteristic)(const CustomOp* op, std::size_t index);
    int (*GetOutputCharacteristic)(const CustomOp* op, std::size_t index);
    int (*GetInputMemoryType)(const CustomOp* op, std::size_t index);
    int (*GetVariadicInputMinArity)(const CustomOp* op);
    int (*GetVariadicInputHomogeneity)(const CustomOp* op);
    int (*GetVariadicOutputMinArity)(const CustomOp* op);
    int (*GetVariadicOutputHomogeneity)(const CustomOp* op);
    Status* (*CreateKernelV2)(const CustomOp* op, const Api* api, const KernelInfo* info, void** kernel);
    Status* (*KernelComputeV2)(void* kernel, KernelContext* context);
    Status* (*InferOutputShape)(const CustomOp* op, void* context);
    int (*GetStartVersion)(const CustomOp* op);
    int (*GetEndVersion)(const CustomOp* op);
    void* reserved[4];
};

static_assert(sizeof(void*) != 8 || sizeof(CustomOp) == 208, "OrtCustomOp of version 16 has 208 bytes");
static_assert(sizeof(void*) != 8 || offsetof(CustomOp, KernelComputeV2) == 144, "KernelComputeV2 lies at byte 144");

}  // namespace rsseg::ort
