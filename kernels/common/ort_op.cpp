#include "ort_op.h"

#include <memory>
#include <new>

#include "half.h"

namespace rsseg {
namespace {

bool parallel_for_available = false;

void check(const ort::Api& api, ort::Status* status, const char* what) {
    if (!status) return;
    api.at<ort::ReleaseStatusFn>(ort::ReleaseStatus)(status);
    throw OpError(std::string("ONNX Runtime refused ") + what);
}

void run_on_host(const Threads& self, void (*task)(void*, std::size_t), std::size_t count, void* argument) {
    if (parallel_for_available && count > 1) {
        const auto& host = *static_cast<const Host*>(self.host);
        auto* refused = host.api.at<ort::ParallelForFn>(ort::KernelContext_ParallelFor)(host.context, task, count, 0, argument);
        if (!refused) return;
        host.api.at<ort::ReleaseStatusFn>(ort::ReleaseStatus)(refused);
    }
    for (std::size_t i = 0; i < count; ++i) task(argument, i);
}

// A kernel as ONNX Runtime holds it between calls.
struct Kernel {
    Kernel(const Registration& registration_, const ort::Api& api_) : registration(registration_), api(api_) {}
    const Registration& registration;
    const ort::Api& api;
    Call::Node node{registration.op.inputs, {}, {}, {}, {}};
};

const Registration& self(const ort::CustomOp* op) { return *static_cast<const Registration*>(op); }

ort::Status* status(const ort::Api& api, const Operator& op, ort::ErrorCode code, const std::string& message) {
    return api.at<ort::CreateStatusFn>(ort::CreateStatus)(code, (std::string(op.name) + ": " + message).c_str());
}

ort::Status* create_kernel(const ort::CustomOp* op, const ort::Api* api, const ort::KernelInfo* info, void** out) {
    const Registration& registration = self(op);
    try {
        auto kernel = std::make_unique<Kernel>(registration, *api);
        for (const char* name : registration.op.attributes) {
            std::int64_t value = 0;
            if (auto* failed = api->at<ort::GetAttributeInt64Fn>(ort::KernelInfoGetAttribute_int64)(info, name, &value)) {
                api->at<ort::ReleaseStatusFn>(ort::ReleaseStatus)(failed);
                return status(*api, registration.op, ort::kInvalidArgument, std::string("attribute ") + name + " is missing");
            }
            kernel->node.attributes.push_back(value);
        }
        for (std::size_t i = 0; i < registration.op.inputs.size(); ++i) {
            int constant = 0;
            const ort::Value* value = nullptr;
            if (auto* failed = api->at<ort::GetConstantInputFn>(ort::KernelInfoGetConstantInput_tensor)(info, i, &constant, &value)) {
                api->at<ort::ReleaseStatusFn>(ort::ReleaseStatus)(failed);
                constant = 0;  // computed at every call, then
            }
            kernel->node.constant.push_back(constant != 0);
        }
        *out = kernel.release();
        return nullptr;
    } catch (const std::exception& error) {
        return status(*api, registration.op, ort::kFail, error.what());
    }
}

ort::Status* compute(void* opaque, ort::KernelContext* context) {
    auto& kernel = *static_cast<Kernel*>(opaque);
    const Operator& op = kernel.registration.op;
    try {
        Call call(kernel.api, context, kernel.registration.half, kernel.node);
        op.compute(call);
        call.finish();
        return nullptr;
    } catch (const OpError& error) {
        return status(kernel.api, op, ort::kInvalidArgument, error.what());
    } catch (const std::bad_alloc&) {
        return status(kernel.api, op, ort::kFail, "out of memory");
    } catch (const std::exception& error) {
        return status(kernel.api, op, ort::kFail, error.what());
    }
}

}  // namespace

Call::Call(const ort::Api& api, ort::KernelContext* context, bool half, Node& node)
    : host_{api, context}, half_(half), node_(node), threads_{&run_on_host, &host_} {
    const auto& names = node.names;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const ort::Value* value = nullptr;
        check(api, api.at<ort::GetInputFn>(ort::KernelContext_GetInput)(context, i, &value), names[i]);
        if (!value) throw OpError(std::string(names[i]) + " is missing");
        ort::ShapeInfo* info = nullptr;
        check(api, api.at<ort::GetTensorTypeAndShapeFn>(ort::GetTensorTypeAndShape)(value, &info), names[i]);
        std::size_t rank = 0;
        auto* failed = api.at<ort::GetDimensionsCountFn>(ort::GetDimensionsCount)(info, &rank);
        std::vector<std::int64_t> dims(rank);
        if (!failed && rank) failed = api.at<ort::GetDimensionsFn>(ort::GetDimensions)(info, dims.data(), rank);
        api.at<ort::ReleaseShapeInfoFn>(ort::ReleaseTensorTypeAndShapeInfo)(info);
        check(api, failed, names[i]);
        void* data = nullptr;
        check(api, api.at<ort::GetTensorMutableDataFn>(ort::GetTensorMutableData)(const_cast<ort::Value*>(value), &data), names[i]);
        inputs_.push_back({data, Shape(dims.begin(), dims.end()), {}});
    }
}

const Call::Shape& Call::shape(std::size_t input, std::size_t rank) const {
    const Shape& shape = inputs_[input].shape;
    if (shape.size() != rank)
        throw OpError(std::string(node_.names[input]) + " has shape " + shape_text(input) + ", expected rank " + std::to_string(rank));
    for (std::size_t size : shape)
        if (size == 0) throw OpError(std::string(node_.names[input]) + " has shape " + shape_text(input) + ", which is empty");
    return shape;
}

void Call::expect(std::size_t input, std::size_t axis, std::size_t size, const char* because) const {
    if (inputs_[input].shape[axis] == size) return;
    throw OpError(std::string(node_.names[input]) + " has shape " + shape_text(input) + ", expected " + std::to_string(size) +
                  " in axis " + std::to_string(axis) + " (" + because + ")");
}

std::string Call::shape_text(std::size_t input) const {
    std::string text = "[";
    for (std::size_t size : inputs_[input].shape) text += (text.size() > 1 ? "," : "") + std::to_string(size);
    return text + "]";
}

const float* Call::floats(std::size_t input) {
    Input& in = inputs_[input];
    if (!half_) return static_cast<const float*>(in.data);
    std::size_t count = 1;
    for (std::size_t size : in.shape) count *= size;
    in.converted.resize(count);
    const auto* bits = static_cast<const std::uint16_t*>(in.data);
    for (std::size_t i = 0; i < count; ++i) in.converted[i] = from_half(bits[i]);
    return in.converted.data();
}

const std::int64_t* Call::ints(std::size_t input) const { return static_cast<const std::int64_t*>(inputs_[input].data); }

void* Call::allocate(std::size_t index, std::initializer_list<std::size_t> shape) {
    const std::vector<std::int64_t> dims(shape.begin(), shape.end());
    ort::Value* value = nullptr;
    void* data = nullptr;
    check(host_.api, host_.api.at<ort::GetOutputFn>(ort::KernelContext_GetOutput)(host_.context, index, dims.data(), dims.size(), &value), "an output");
    check(host_.api, host_.api.at<ort::GetTensorMutableDataFn>(ort::GetTensorMutableData)(value, &data), "an output");
    return data;
}

float* Call::output(std::initializer_list<std::size_t> shape) {
    output_size_ = 1;
    for (std::size_t size : shape) output_size_ *= size;
    output_ = allocate(0, shape);
    if (!half_) return static_cast<float*>(output_);
    widened_.resize(output_size_);
    return widened_.data();
}

std::uint8_t* Call::bytes(std::size_t index, std::initializer_list<std::size_t> shape) {
    return static_cast<std::uint8_t*>(allocate(index, shape));
}

std::shared_ptr<const Call::State> Call::state() const {
    const std::lock_guard<std::mutex> held(node_.lock);
    return node_.state;
}

void Call::keep(std::shared_ptr<const State> state) {
    const std::lock_guard<std::mutex> held(node_.lock);
    node_.state.swap(state);
}

void Call::finish() {
    auto* bits = static_cast<std::uint16_t*>(output_);
    for (std::size_t i = 0; half_ && i < output_size_; ++i) bits[i] = to_half(widened_[i]);
}

std::size_t window_area(std::int64_t radius, std::size_t height, std::size_t width) {
    const auto r = static_cast<std::size_t>(radius);
    if (radius < 1 || r >= height || r >= width)
        throw OpError("radius " + std::to_string(radius) + " does not fit an image of " + std::to_string(height) + "x" +
                      std::to_string(width) + ": it must be at least 1 and below both sizes");
    return (2 * r + 1) * (2 * r + 1);
}

void require_memory(bool ran) {
    if (!ran) throw std::bad_alloc();
}

void set_parallel_for(bool available) { parallel_for_available = available; }

Registration::Registration(const Operator& op_, bool half_) : ort::CustomOp{}, op(op_), half(half_) {
    version = ort::kOldest;
    GetName = [](const ort::CustomOp* o) { return self(o).op.name; };
    GetExecutionProviderType = [](const ort::CustomOp*) { return "CPUExecutionProvider"; };
    GetInputTypeCount = [](const ort::CustomOp* o) { return self(o).op.inputs.size(); };
    GetInputType = [](const ort::CustomOp* o, std::size_t i) -> int {
        return self(o).op.integers[i] ? ort::kInt64 : self(o).half ? ort::kHalf : ort::kFloat;
    };
    GetOutputTypeCount = [](const ort::CustomOp* o) -> std::size_t { return self(o).op.bytes ? self(o).op.bytes : 1; };
    GetOutputType = [](const ort::CustomOp* o, std::size_t) -> int {
        return self(o).op.bytes ? ort::kUint8 : self(o).half ? ort::kHalf : ort::kFloat;
    };
    GetInputCharacteristic = GetOutputCharacteristic = [](const ort::CustomOp*, std::size_t) -> int { return ort::kRequired; };
    GetInputMemoryType = [](const ort::CustomOp*, std::size_t) -> int { return ort::kDefault; };
    GetVariadicInputMinArity = GetVariadicOutputMinArity = [](const ort::CustomOp*) { return 0; };
    GetVariadicInputHomogeneity = GetVariadicOutputHomogeneity = [](const ort::CustomOp*) { return 1; };
    CreateKernelV2 = &create_kernel;
    KernelComputeV2 = &compute;
    KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
}

}  // namespace rsseg
