// Polygons of regions, put together from their borders.
#pragma once

#include <vector>

#include "line.h"

namespace rsseg {

// A border as a region has it: on the left of the line, whichever way that runs (y grows downwards).
struct Side {
    const Point* points;
    std::size_t count;
    bool turned;  // whether the line runs from the last point to the first
    double area;  // twice what it sweeps
    Direction leaves, arrives;

    const Point& point(std::size_t i) const { return points[turned ? count - 1 - i : i]; }
};

// Polygons as columns: points, where rings begin in them, and where polygons begin in the rings.
struct Polygons {
    std::vector<Point> points;
    std::vector<std::int64_t> rings{0}, polygons{0};
};

class RingMaker {
public:
    // Adds the polygon of a region: all of its sides, in any order. Its outside comes first, then holes by their size.
    void add(const std::vector<Side>& sides, Polygons& made);

private:
    struct Ring {
        double area;
        std::size_t begin;
    };
    std::vector<std::size_t> by_begin_, ahead_;
    std::vector<Ring> rings_;
};

}  // namespace rsseg
