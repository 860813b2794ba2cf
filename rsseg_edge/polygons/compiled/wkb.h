// Polygons as Well-Known Binary (OGC 06-103r4, 8.2), little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

#include "line.h"

namespace rsseg {

// Points are moved from pixels to the ground: x to scale_x x + shift_x.
struct Grid {
    double scale_x, shift_x, scale_y, shift_y;
};

// Bytes of polygons, and of each one where it ends in them. There must be room for 9 a polygon, 4 a ring and 16 a point.
void write_wkb(const Point* points, const std::int64_t* rings, const std::int64_t* polygons, std::size_t count, const Grid& grid,
               std::uint8_t* bytes, std::int64_t* ends);

}  // namespace rsseg
