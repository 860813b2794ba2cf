// A 3-tap correlation along one axis with fewer products than outputs times taps, as three sparse linear maps: pixels to
// sums of pixels, weights to sums of weights, products to outputs. Two axes nest: every pair of kinds of weights is one
// matrix product. Winograd's minimal filtering (Lavin and Gray, 2016) for an axis as it is; for one that is enlarged by
// two first, see plan.cpp.
#pragma once

#include <cstddef>
#include <vector>

namespace rsseg {

// Row i is the sum over j in begin[i]..begin[i + 1] of coefficient[j] * row index[j] of the source.
struct SparseRows {
    const int* begin;
    const int* index;
    const float* coefficient;
    std::size_t count;
};

constexpr int kKinds = 6;

// The same for kernels, which must not see the standard library.
struct PlanTables {
    SparseRows sums;       // of pixels
    SparseRows outputs;    // of products
    const int* sum_of;     // of a product: the sum that meets the weights
    const int* products;   // [kKinds + 1], where the products of a kind of weights begin
    const float* taps;     // [kKinds][3]
    std::size_t pixels;
};

class Plan {
public:
    Plan(std::size_t pixels, bool enlarged);
    PlanTables tables() const;
    std::size_t pixels() const { return pixels_; }

private:
    struct Rows {
        std::vector<int> begin{0}, index;
        std::vector<float> coefficient;
        SparseRows view() const { return {begin.data(), index.data(), coefficient.data(), begin.size() - 1}; }
    };
    class Builder;

    std::size_t pixels_;
    Rows sums_, outputs_;
    std::vector<int> sum_of_, products_;
    const float* taps_;
};

}  // namespace rsseg
