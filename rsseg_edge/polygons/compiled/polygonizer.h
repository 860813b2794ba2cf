// A class map as polygons, row by row.
#pragma once

#include <memory>
#include <vector>

#include "chains.h"
#include "find_runs.h"
#include "line.h"
#include "rings.h"
#include "simplify.h"

namespace rsseg {

constexpr std::uint8_t kNoData = 255;

// Regions that are complete, as columns.
struct Regions {
    std::vector<std::int64_t> class_index, pixels, confidence;
    std::vector<double> area;
    Polygons polygons;
};

// Takes rows from the top down and gives regions when nothing can be added to them any more.
//
// Memory is that of two rows, and of the regions that reach the last of them. Of a row only its runs are looked at: along the
// line between two rows, borders bend or meet where a run begins in either.
class Polygonizer {
public:
    Polygonizer(std::size_t width, double tolerance) : width_(static_cast<std::int64_t>(width)), simplifier_(tolerance) {}

    // The next rows, of which the runs cover every pixel, with the area of a pixel of each row.
    void add(const Runs& runs, std::size_t count, std::size_t rows, const double* pixel_areas);
    // Regions since the last time.
    Regions& complete() { return complete_; }

private:
    using Name = std::int32_t;
    static constexpr Name kVoid = -1;  // in place of a region: what has no data, and what lies outside of the class map
    using Half = std::int32_t;         // a border as one of its regions has it: twice its index, and 1 where that is on its right
    static constexpr Half kNone = -1;

    // Pixels of a row that lie between edges: the first and the last piece are outside of the class map.
    struct Row {
        std::vector<std::int32_t> edges;
        std::vector<Name> regions;
        std::vector<std::uint8_t> classes;
        std::vector<Chains::End> lines;  // that come down each edge
    };
    struct Region {
        Name parent;
        std::uint8_t class_index;
        std::int64_t last_row, pixels, confidence;
        double area;
        Half first, last;  // of its borders
    };
    struct Border {
        std::unique_ptr<Point[]> points;
        std::size_t count;
        double area;  // twice what it sweeps
        Direction leaves, arrives;
        std::uint8_t regions;  // that are not complete
        Half next[2];
    };
    struct Around {  // the regions on four sides of a corner
        Name nw, ne, sw, se;
    };

    void read(const Runs& runs, std::size_t begin, std::size_t end, double pixel_area);
    Name started(std::uint8_t class_index);
    Name found(Name region);
    Name united(Name a, Name b);
    void resolve(Row& row);
    void trace();
    Chains::End meet(Corner at, const Around& around, Chains::End north, Chains::End west, Chains::End& south);
    void whole(Chains::End end, Name left, Name right, bool ring);
    void attach(Half half, Name name);
    void close_ended();
    void close(Name name);

    std::int64_t width_, y_ = 0;
    Row above_{{}, {kVoid}, {kNoData}, {}}, row_;
    std::vector<Region> regions_;
    std::vector<Name> free_regions_, merged_;
    std::vector<Border> borders_;
    std::vector<Half> free_borders_;
    Chains chains_;
    Simplifier simplifier_;
    RingMaker rings_;
    std::vector<Corner> corners_;
    std::vector<Side> sides_;
    Regions complete_;
};

}  // namespace rsseg
