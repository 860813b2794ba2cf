// What a border between two regions is made of. x runs to the right and y down, in pixels of the class map.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace rsseg {

// A corner of a pixel.
struct Corner {
    std::int32_t x, y;
    bool operator==(const Corner& other) const { return x == other.x && y == other.y; }
};

// Any place; of a simplified line.
struct Point {
    double x, y;
    Point operator+(const Point& other) const { return {x + other.x, y + other.y}; }
    Point operator-(const Point& other) const { return {x - other.x, y - other.y}; }
    Point operator*(double factor) const { return {x * factor, y * factor}; }
    double length2() const { return x * x + y * y; }
};

inline double cross(const Point& a, const Point& b) { return a.x * b.y - a.y * b.x; }
inline double dot(const Point& a, const Point& b) { return a.x * b.x + a.y * b.y; }

// Twice the area that the line from the origin sweeps along a line, signed.
inline double swept(const Point* points, std::size_t count) {
    double sum = 0;
    for (std::size_t i = 0; i + 1 < count; ++i) sum += cross(points[i], points[i + 1]);
    return sum;
}

enum Direction : std::uint8_t { kEast, kSouth, kWest, kNorth };

inline Direction opposite(Direction direction) { return static_cast<Direction>((direction + 2) % 4); }

inline Direction direction(Corner from, Corner to) {
    if (from.y == to.y) return from.x < to.x ? kEast : kWest;
    return from.y < to.y ? kSouth : kNorth;
}

}  // namespace rsseg
