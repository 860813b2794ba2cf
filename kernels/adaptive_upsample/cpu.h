#pragma once

#include <cstddef>

#include "../common/dispatch.h"
#include "../common/threads.h"
#include "fold.h"

namespace rsseg {

// Coefficient tables as plain pointers: the vector code may not touch the standard library's templates.
struct FoldTables {
    int taps, window;
    const float* const* columns;      // of every group of four quads along x
    const int* const* column_ranges;
    const float* const* rows;         // of every quad along y
    const int* const* row_ranges;
};

// Shapes as the operators'; every array is contiguous. Without text, output is [B,2h,2w,C].
struct AdaptiveUpsample {
    const float* features;
    const float* kernel;
    float* output;
    std::size_t batch, height, width, channels;
    FoldTables fold;
    // Classification: output is [B,2h,2w,Q].
    const float* bias = nullptr;  // [C]
    const float* text = nullptr;  // [Q,C]
    std::size_t classes = 0;
};

RSSEG_DECLARE_KERNEL(adaptive_upsample, AdaptiveUpsample)
RSSEG_DECLARE_KERNEL(adaptive_upsample_classify, AdaptiveUpsample)

// Owns what FoldTables points to.
class Fold {
public:
    Fold(std::size_t height, std::size_t width, int radius) : x_(width, radius, kQuads), y_(height, radius, 1) {
        for (std::size_t g = 0; g < x_.table_of_group.size(); ++g) {
            columns_.push_back(x_.table(g));
            column_ranges_.push_back(x_.range(g));
        }
        for (std::size_t g = 0; g < y_.table_of_group.size(); ++g) {
            rows_.push_back(y_.table(g));
            row_ranges_.push_back(y_.range(g));
        }
    }
    FoldTables tables() const {
        return {x_.taps, x_.window, columns_.data(), column_ranges_.data(), rows_.data(), row_ranges_.data()};
    }

private:
    FoldAxis x_, y_;
    std::vector<const float*> columns_, rows_;
    std::vector<const int*> column_ranges_, row_ranges_;
};

}  // namespace rsseg
