// Asks a plugin what TensorRT would ask while it builds, without TensorRT: the child process of test_plugin.py.
//
// Usage: plugin_driver LIBRARY OPERATOR ATTRIBUTE SHAPE...     with shapes as 1x8x12x64
// Prints the output's shape, whether the shapes are accepted and the workspace, and which formats are.
#include <NvInfer.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <sstream>
#include <string>
#include <vector>

using namespace nvinfer1;

namespace {

// TensorRT's expressions are handles to an implementation behind a table of functions; these hold constants.
struct NumberTable : apiv::VDimensionExpr {
    bool isConstant() const override { return true; }
    std::int64_t getConstantValue() const override { return value; }
    bool isSizeTensor() const override { return false; }
    std::int64_t value = 0;
};

struct Number : IDimensionExpr {
    explicit Number(std::int64_t value) {
        table.value = value;
        mImpl = &table;
    }
    NumberTable table;
};

struct BuilderTable : apiv::VExprBuilder {
    const IDimensionExpr* constant(std::int64_t value) override { return &numbers.emplace_back(value); }
    const IDimensionExpr* operation(DimensionOperation, const IDimensionExpr&, const IDimensionExpr&) override { return nullptr; }
    const IDimensionExpr* declareSizeTensor(std::int32_t, const IDimensionExpr&, const IDimensionExpr&) override { return nullptr; }
    std::list<Number> numbers;
};

struct Builder : IExprBuilder {
    Builder() { mImpl = &table; }
    BuilderTable table;
};

DynamicPluginTensorDesc tensor(const Dims& dims, DataType type, TensorFormat format = TensorFormat::kLINEAR) {
    DynamicPluginTensorDesc d{};
    d.desc.dims = dims;
    d.desc.type = type;
    d.desc.format = format;
    return d;
}

}  // namespace

int main(int argc, char** argv) {
    void* library = dlopen(argv[1], RTLD_NOW);
    if (!library) return std::fprintf(stderr, "%s\n", dlerror()), 1;
    auto* creators = reinterpret_cast<IPluginCreatorInterface* const* (*)(std::int32_t&)>(dlsym(library, "getCreators"));
    std::int32_t count = 0;
    auto* const* all = creators(count);
    IPluginCreatorV3One* creator = nullptr;
    for (std::int32_t i = 0; i < count; ++i) {
        auto* candidate = static_cast<IPluginCreatorV3One*>(all[i]);
        if (!std::strcmp(candidate->getPluginName(), argv[2])) creator = candidate;
    }
    if (!creator) return std::fprintf(stderr, "no creator of %s\n", argv[2]), 1;
    const std::int32_t attribute = std::atoi(argv[3]);
    const PluginField field(creator->getFieldNames()->fields[0].name, &attribute, PluginFieldType::kINT32, 1);
    const PluginFieldCollection fields{1, &field};
    IPluginV3* made = creator->createPlugin("plugin", &fields, TensorRTPhase::kBUILD);
    IPluginV3* plugin = made->clone();
    auto* build = static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));

    Builder builder;
    std::vector<DynamicPluginTensorDesc> tensors;
    std::vector<DimsExprs> expressions;
    for (int i = 4; i < argc; ++i) {
        Dims dims{};
        DimsExprs expression{};
        std::stringstream text(argv[i]);
        for (std::string size; std::getline(text, size, 'x');) {
            dims.d[dims.nbDims++] = std::atoll(size.c_str());
            expression.d[expression.nbDims++] = builder.constant(dims.d[dims.nbDims - 1]);
        }
        tensors.push_back(tensor(dims, DataType::kHALF));
        expressions.push_back(expression);
    }
    const auto inputs = static_cast<std::int32_t>(tensors.size());
    DimsExprs shape{};
    if (build->getOutputShapes(expressions.data(), inputs, nullptr, 0, &shape, 1, builder)) return std::puts("shape refused"), 0;
    std::printf("shape ");
    Dims out{};
    for (out.nbDims = 0; out.nbDims < shape.nbDims; ++out.nbDims) {
        out.d[out.nbDims] = shape.d[out.nbDims]->getConstantValue();
        std::printf("%s%lld", out.nbDims ? "x" : "", static_cast<long long>(out.d[out.nbDims]));
    }
    tensors.push_back(tensor(out, DataType::kHALF));
    const bool accepted = !build->configurePlugin(tensors.data(), inputs, &tensors.back(), 1);
    std::printf(" accepted %d workspace %zu formats", accepted, build->getWorkspaceSize(tensors.data(), inputs, &tensors.back(), 1));
    struct Kind {
        const char* name;
        DataType type;
        TensorFormat format;
    };
    for (const Kind& kind : {Kind{"fp32", DataType::kFLOAT, TensorFormat::kLINEAR}, Kind{"fp16", DataType::kHALF, TensorFormat::kLINEAR},
                             Kind{"int8", DataType::kINT8, TensorFormat::kLINEAR}, Kind{"chw32", DataType::kHALF, TensorFormat::kCHW32}}) {
        bool all_positions = true;
        for (auto& t : tensors) t = tensor(t.desc.dims, kind.type, kind.format);
        for (std::int32_t i = 0; i <= inputs; ++i) all_positions &= build->supportsFormatCombination(i, tensors.data(), inputs, 1);
        if (all_positions) std::printf(" %s", kind.name);
    }
    tensors[0] = tensor(tensors[0].desc.dims, DataType::kFLOAT);
    tensors[1] = tensor(tensors[1].desc.dims, DataType::kHALF);
    std::printf(" mixed %d\n", build->supportsFormatCombination(1, tensors.data(), inputs, 1));
    delete plugin;
    delete made;
}
