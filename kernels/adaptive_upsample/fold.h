// Bicubic upsampling folded into the adaptive kernel.
//
// Both are linear, so out(p) = sum over o of kernel(p, o) * up(p + o) is also a sum over the low-resolution features
// that the window's upsampled pixels are made of: folded(p, t) = sum over o of kernel(p, o) * bicubic(p + o, t). An 11x11
// window touches 9x9 features, the same ones for the four pixels above one feature (a "quad"): 81 products a
// pixel and channel in place of 121, no upsampled image, and every feature that is loaded serves four pixels. Reflected
// and repeated borders are part of the coefficients. The fold is separable and costs as much as three channels.
#pragma once

#include <cstddef>
#include <vector>

namespace rsseg {

// Quads are folded four at a time: 16 pixels, lane = 4 * quad + 2 * (lower row) + (right column).
constexpr int kQuads = 4;
constexpr int kPixels = 16;

// The coefficients along one axis. Groups of quads whose coefficients are equal, all but those near a border, share
// one table.
struct FoldAxis {
    // size: low-resolution features along the axis; quads: of a group along this axis, 4 for x and 1 for y.
    FoldAxis(std::size_t size, int radius, int quads);

    int taps;    // of the kernel: 2 * radius + 1
    int window;  // low-resolution features: 2 * (radius / 2) + 5
    std::vector<int> table_of_group;

    // [window][taps][kPixels] of one group.
    const float* table(std::size_t group) const;
    // The taps that reach a window position: first and one past the last, [window][2].
    const int* range(std::size_t group) const;

private:
    std::vector<std::vector<float>> tables_;
    std::vector<std::vector<int>> ranges_;
};

// The low-resolution feature, counted along its axis, that is first in the window of a quad; may be negative.
static inline std::ptrdiff_t window_start(std::size_t quad, int window) {
    return static_cast<std::ptrdiff_t>(quad) - window / 2;
}

}  // namespace rsseg
