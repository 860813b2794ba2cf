// Borders with fewer corners, none of which moves by half a pixel, and which enclose what they enclosed.
#pragma once

#include <vector>

#include "line.h"

namespace rsseg {

// See polygons/simplify.py, which says what is done and why; here one line at a time.
class Simplifier {
public:
    explicit Simplifier(double tolerance);
    // The line through a border's corners: through all of them where fewer will not do.
    const std::vector<Point>& operator()(const std::vector<Corner>& corners);
    // The line through all of them.
    const std::vector<Point>& exact(const std::vector<Corner>& corners);

private:
    using Place = std::size_t;  // 2i is corner i; 2i + 1 the middle between it and the next

    struct Farthest {
        double distance2;  // times the segment's squared length, of a whole number of quarters: rounding decides nothing
        double scale;
        std::size_t corner;
    };
    Point place(Place at) const;
    void divide();
    Farthest farthest(Place begin, Place end) const;
    void straighten();
    double room(std::size_t line) const;
    bool shift();

    double tolerance_, limit2_;
    std::vector<Point> corners_;
    std::vector<Place> kept_;
    std::vector<std::pair<Place, Place>> open_;
    std::vector<Point> points_, shifts_;
    std::vector<double> rooms_;
};

}  // namespace rsseg
