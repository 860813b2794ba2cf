// What an operator says about itself, and what it sees of one call. The rest of the interface is in ort_op.cpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort_abi.h"
#include "threads.h"

namespace rsseg {

// A call that does not fit the operator; ONNX Runtime reports it with the operator's name in front.
struct OpError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The runtime during one call: where threads and tensors come from.
struct Host {
    const ort::Api& api;
    ort::KernelContext* context;
};

// One call: inputs as float32 whatever the model's precision is.
class Call {
public:
    using Shape = std::vector<std::size_t>;

    // What a kernel keeps from one call to the next: calls may overlap, so it does not change once it is kept.
    struct State {
        virtual ~State() = default;
    };

    // A node's kernel as it lives between calls.
    struct Node {
        const std::vector<const char*>& names;
        std::vector<std::int64_t> attributes;
        std::vector<bool> constant;  // inputs that are constants of the graph
        std::mutex lock;
        std::shared_ptr<const State> state;
    };

    Call(const ort::Api& api, ort::KernelContext* context, bool half, Node& node);

    // The shape of an input; throws where its rank is another.
    const Shape& shape(std::size_t input, std::size_t rank) const;
    // Throws unless the input's size along an axis is the one named.
    void expect(std::size_t input, std::size_t axis, std::size_t size, const char* because) const;

    const float* floats(std::size_t input);
    const std::int64_t* ints(std::size_t input) const;
    std::int64_t attribute(std::size_t index) const { return node_.attributes[index]; }
    bool constant(std::size_t input) const { return node_.constant[input]; }

    // What keep() was given last, by any call of this node; null at first.
    std::shared_ptr<const State> state() const;
    void keep(std::shared_ptr<const State> state);

    // Allocates the output; written in half precision by finish() where the model is.
    float* output(std::initializer_list<std::size_t> shape);
    void finish();
    // Allocates one of several outputs that are bytes.
    std::uint8_t* bytes(std::size_t index, std::initializer_list<std::size_t> shape);

    const Threads& threads() const { return threads_; }

private:
    struct Input {
        const void* data;
        Shape shape;
        std::vector<float> converted;
    };

    std::string shape_text(std::size_t input) const;
    void* allocate(std::size_t index, std::initializer_list<std::size_t> shape);

    Host host_;
    bool half_;
    Node& node_;
    std::vector<Input> inputs_;
    std::vector<float> widened_;
    void* output_ = nullptr;
    std::size_t output_size_ = 0;
    Threads threads_;
};

// One operator of the domain.
struct Operator {
    const char* name;
    std::vector<const char*> inputs;
    std::vector<bool> integers;  // inputs that are int64 rather than floating
    std::vector<const char*> attributes;
    void (*compute)(Call& call);
    std::size_t bytes = 0;  // outputs that are uint8, in place of one that is as the inputs
};

// Declared in each room's op.cpp.
extern const Operator kMaskedAttention, kBilateralKernel, kAdaptiveUpsample, kAdaptiveUpsampleClassify, kMSDeformAttn, kConv3x3Relu,
    kUpsampleConv3x3Relu, kPixelMLP, kFixupKernel, kSelfAttention, kCrossAttention, kFeedForward, kQInvertedResidual, kQSeparableConv,
    kUpsampleDecide, kMiddleMean;

// The size of a kernel's window in places; throws unless 1 <= radius < both sizes of the image.
std::size_t window_area(std::int64_t radius, std::size_t height, std::size_t width);

// Throws where a kernel found no memory.
void require_memory(bool ran);

// Whether the runtime lends its threads; set once by the entry point.
void set_parallel_for(bool available);

// A registered operator for one precision, as ONNX Runtime sees it.
class Registration : public ort::CustomOp {
public:
    Registration(const Operator& op, bool half);
    const Operator& op;
    bool half;
};

}  // namespace rsseg
