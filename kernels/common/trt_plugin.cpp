// IPluginV3 of all operators, and their creators. Errors end up in TensorRT's log with the operator's name.
#include "trt_plugin.h"

#include <cstring>
#include <exception>

namespace rsseg::trt {
namespace {

using namespace nvinfer1;

ILoggerFinder* logger_finder = nullptr;

void log_error(const std::string& message) {
    if (ILogger* logger = logger_finder ? logger_finder->findLogger() : nullptr)
        logger->log(ILogger::Severity::kERROR, ("rsseg " + message).c_str());
}

class Plugin : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
public:
    Plugin(const Operator& op, int attribute) : op_(op), attribute_(attribute) {}

    IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
        switch (type) {
            case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
            case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
            case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }
    IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(op_, attribute_); }

    const char* getPluginName() const noexcept override { return op_.name; }
    const char* getPluginVersion() const noexcept override { return "1"; }
    const char* getPluginNamespace() const noexcept override { return "rsseg"; }

    std::int32_t getNbOutputs() const noexcept override { return 1; }

    std::int32_t getOutputDataTypes(DataType* outputs, std::int32_t, const DataType* inputs, std::int32_t) const noexcept override {
        outputs[0] = inputs[0];
        return 0;
    }

    std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t count, const DimsExprs*, std::int32_t, DimsExprs* outputs,
                                 std::int32_t, IExprBuilder& builder) noexcept override {
        for (std::int32_t i = 0; i < count; ++i)
            if (inputs[i].nbDims != op_.ranks[static_cast<std::size_t>(i)]) return refuse("input " + std::to_string(i) + " has the wrong rank");
        outputs[0] = op_.shape(inputs, attribute_, builder);
        return 0;
    }

    bool supportsFormatCombination(std::int32_t position, const DynamicPluginTensorDesc* tensors, std::int32_t, std::int32_t) noexcept override {
        const PluginTensorDesc& tensor = tensors[position].desc;
        const bool floating = tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF;
        return floating && tensor.format == TensorFormat::kLINEAR && tensor.type == tensors[0].desc.type;
    }

    std::int32_t configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t count, const DynamicPluginTensorDesc*,
                                 std::int32_t) noexcept override {
        std::vector<PluginTensorDesc> descriptions;
        for (std::int32_t i = 0; i < count; ++i) descriptions.push_back(inputs[i].desc);
        return fit(descriptions.data(), count);
    }

    std::size_t getWorkspaceSize(const DynamicPluginTensorDesc* inputs, std::int32_t count, const DynamicPluginTensorDesc*,
                                 std::int32_t) const noexcept override {
        std::vector<PluginTensorDesc> descriptions;
        for (std::int32_t i = 0; i < count; ++i) descriptions.push_back(inputs[i].desc);
        return op_.workspace(problem(descriptions.data(), count));
    }

    // Kernels are loaded here, once a shape, never inside enqueue: a CUDA graph may be recording there.
    std::int32_t onShapeChange(const PluginTensorDesc* inputs, std::int32_t count, const PluginTensorDesc*, std::int32_t) noexcept override {
        if (fit(inputs, count)) return -1;
        problem_ = problem(inputs, count);
        try {
            for (const std::string& name : op_.kernels(problem_))
                if (!kernels_.count(name)) kernels_[name] = std::make_unique<PtxKernel>(name);
        } catch (const std::exception& error) {
            return refuse(error.what());
        }
        return 0;
    }

    std::int32_t enqueue(const PluginTensorDesc*, const PluginTensorDesc*, const void* const* inputs, void* const* outputs,
                         void* workspace, cudaStream_t stream) noexcept override {
        try {
            const int result = op_.launch({problem_, kernels_, inputs, outputs[0], workspace, stream});
            return result ? refuse("launch failed: CUDA driver error " + std::to_string(result)) : 0;
        } catch (const std::exception& error) {
            return refuse(error.what());
        }
    }

    std::int32_t setTactic(std::int32_t) noexcept override { return 0; }
    IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }

    const PluginFieldCollection* getFieldsToSerialize() noexcept override {
        field_ = PluginField(op_.attribute, &attribute_, PluginFieldType::kINT32, 1);
        fields_ = {1, &field_};
        return &fields_;
    }

private:
    std::int32_t refuse(const std::string& message) const noexcept {
        log_error(std::string(op_.name) + ": " + message);
        return -1;
    }

    Problem problem(const PluginTensorDesc* inputs, std::int32_t count) const {
        Problem p{{}, attribute_, inputs[0].type == DataType::kHALF};
        for (std::int32_t i = 0; i < count; ++i) p.shapes.emplace_back(inputs[i].dims.d, inputs[i].dims.d + inputs[i].dims.nbDims);
        return p;
    }

    std::int32_t fit(const PluginTensorDesc* inputs, std::int32_t count) const noexcept {
        if (static_cast<std::size_t>(count) != op_.ranks.size()) return refuse("it takes " + std::to_string(op_.ranks.size()) + " inputs");
        for (std::int32_t i = 0; i < count; ++i) {
            const Dims& dims = inputs[i].dims;
            if (dims.nbDims != op_.ranks[static_cast<std::size_t>(i)]) return refuse("input " + std::to_string(i) + " has the wrong rank");
            for (std::int32_t axis = 0; axis < dims.nbDims; ++axis)
                if (dims.d[axis] < 1) return refuse("shapes must be static: export with a fixed size");
        }
        const std::string objection = op_.objection(problem(inputs, count));
        return objection.empty() ? 0 : refuse(objection);
    }

    const Operator& op_;
    std::int32_t attribute_;
    Problem problem_{};
    Kernels kernels_;
    PluginField field_;
    PluginFieldCollection fields_{};
};

class Creator : public IPluginCreatorV3One {
public:
    explicit Creator(const Operator& op) : op_(op), field_(op.attribute, nullptr, PluginFieldType::kINT32, 1), fields_{1, &field_} {}

    const char* getPluginName() const noexcept override { return op_.name; }
    const char* getPluginVersion() const noexcept override { return "1"; }
    const char* getPluginNamespace() const noexcept override { return "rsseg"; }
    const PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }

    IPluginV3* createPlugin(const char*, const PluginFieldCollection* fields, TensorRTPhase) noexcept override {
        for (std::int32_t i = 0; fields && i < fields->nbFields; ++i) {
            const PluginField& field = fields->fields[i];
            if (!field.name || std::strcmp(field.name, op_.attribute) != 0 || !field.data || field.length != 1) continue;
            // ONNX attributes are int64; parsers hand them on as the type that getFieldNames asks for, or as they are.
            std::int64_t value = 0;
            if (field.type == PluginFieldType::kINT32) value = *static_cast<const std::int32_t*>(field.data);
            else if (field.type == PluginFieldType::kINT64) value = *static_cast<const std::int64_t*>(field.data);
            if (value >= 1 && value <= 1024) return new (std::nothrow) Plugin(op_, static_cast<int>(value));
            break;
        }
        log_error(std::string(op_.name) + ": it needs the attribute " + op_.attribute + ", an integer of at least 1");
        return nullptr;
    }

private:
    const Operator& op_;
    PluginField field_;
    PluginFieldCollection fields_;
};

}  // namespace
}  // namespace rsseg::trt

// The two symbols by which TensorRT's registry knows a plugin library.
extern "C" __attribute__((visibility("default"))) void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
    rsseg::trt::logger_finder = finder;
}

extern "C" __attribute__((visibility("default"))) nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
    using namespace rsseg::trt;
    static Creator attention(kMaskedAttention), bilateral(kBilateralKernel), upsample(kAdaptiveUpsample), classify(kAdaptiveUpsampleClassify);
    static nvinfer1::IPluginCreatorInterface* const creators[] = {&attention, &bilateral, &upsample, &classify};
    count = 4;
    return creators;
}
