#include "polygonizer.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace rsseg {
namespace {

constexpr std::int32_t kBeyond = std::numeric_limits<std::int32_t>::max();  // every edge

// The next free number of a table.
template <class Item, class Number>
Number room(std::vector<Item>& items, std::vector<Number>& free) {
    if (free.empty()) {
        items.emplace_back();
        return static_cast<Number>(items.size() - 1);
    }
    const Number number = free.back();
    free.pop_back();
    return number;
}

bool first_of(const Corner& a, const Corner& b) { return std::tie(a.y, a.x) < std::tie(b.y, b.x); }

// A line begins at its upper end, or the left one of the same row; a ring at its first corner, and goes clockwise.
bool runs_backwards(const std::vector<Corner>& corners) {
    const bool ring = corners.front() == corners.back();
    const Corner &from = corners[ring], &to = corners[corners.size() - 1 - ring];
    return first_of(to, from);
}

}  // namespace

void Polygonizer::add(const Runs& runs, std::size_t count, std::size_t rows, const double* pixel_areas) {
    std::size_t begin = 0;
    for (std::size_t row = 0; row < rows; ++row, ++y_) {
        std::size_t end = begin;
        while (end < count && runs.row[end] == static_cast<std::int64_t>(row)) ++end;
        read(runs, begin, end, pixel_areas[row]);
        resolve(above_);
        resolve(row_);
        trace();
        close_ended();
        // Nothing names them any more.
        free_regions_.insert(free_regions_.end(), merged_.begin(), merged_.end());
        merged_.clear();
        std::swap(above_, row_);
        begin = end;
    }
}

// A row's pieces, each of the region above that it touches and has the class of, or of a new one.
void Polygonizer::read(const Runs& runs, std::size_t begin, std::size_t end, double pixel_area) {
    row_.edges.clear();
    row_.regions.assign(1, kVoid);
    row_.classes.assign(1, kNoData);
    std::size_t over = 0;
    for (std::size_t run = begin; run < end; ++run) {
        const std::uint8_t class_index = runs.class_index[run];
        const std::int64_t start = runs.start[run] - static_cast<std::int64_t>(runs.row[run]) * width_, stop = start + runs.length[run];
        Name region = kVoid;
        if (class_index != kNoData) {
            while (over < above_.edges.size() && above_.edges[over] <= start) ++over;
            for (std::size_t piece = over;; ++piece) {
                if (above_.classes[piece] == class_index) {
                    const Name touched = found(above_.regions[piece]);
                    region = region == kVoid ? touched : united(region, touched);
                }
                if (piece == above_.edges.size() || above_.edges[piece] >= stop) break;
            }
            if (region == kVoid) region = started(class_index);
            Region& sums = regions_[region];
            sums.last_row = y_;
            sums.pixels += runs.length[run];
            sums.confidence += runs.confidence[run];
            sums.area += static_cast<double>(runs.length[run]) * pixel_area;
        }
        if (class_index == row_.classes.back()) continue;  // no data where the row begins, as before it
        row_.edges.push_back(static_cast<std::int32_t>(start));
        row_.regions.push_back(region);
        row_.classes.push_back(class_index);
    }
    if (row_.classes.back() != kNoData) {
        row_.edges.push_back(static_cast<std::int32_t>(width_));
        row_.regions.push_back(kVoid);
        row_.classes.push_back(kNoData);
    }
    row_.lines.assign(row_.edges.size(), Chains::kNone);
}

Polygonizer::Name Polygonizer::started(std::uint8_t class_index) {
    const Name region = room(regions_, free_regions_);
    regions_[region] = {region, class_index, y_, 0, 0, 0, kNone, kNone};
    return region;
}

Polygonizer::Name Polygonizer::found(Name region) {
    while (regions_[region].parent != region) {
        regions_[region].parent = regions_[regions_[region].parent].parent;  // shorter for the next who asks
        region = regions_[region].parent;
    }
    return region;
}

Polygonizer::Name Polygonizer::united(Name a, Name b) {
    if (a == b) return a;
    Region &kept = regions_[a], &other = regions_[b];
    other.parent = a;
    merged_.push_back(b);
    kept.last_row = std::max(kept.last_row, other.last_row);
    kept.pixels += other.pixels;
    kept.confidence += other.confidence;
    kept.area += other.area;
    if (other.first != kNone) {
        if (kept.first == kNone)
            kept.first = other.first;
        else
            borders_[kept.last / 2].next[kept.last % 2] = other.first;
        kept.last = other.last;
    }
    return a;
}

void Polygonizer::resolve(Row& row) {
    for (Name& region : row.regions)
        if (region != kVoid) region = found(region);
}

// Along the line between two rows, from each place to the next where a run begins in either.
void Polygonizer::trace() {
    const auto y = static_cast<std::int32_t>(y_);
    const std::size_t above = above_.edges.size(), below = row_.edges.size();
    Chains::End west = Chains::kNone;
    for (std::size_t i = 0, j = 0; i < above || j < below;) {
        const std::int32_t next_above = i < above ? above_.edges[i] : kBeyond, next_below = j < below ? row_.edges[j] : kBeyond;
        const std::int32_t x = std::min(next_above, next_below);
        Around around{above_.regions[i], above_.regions[i], row_.regions[j], row_.regions[j]};
        Chains::End north = Chains::kNone, south = Chains::kNone;
        if (x == next_above) {
            north = above_.lines[i++];
            around.ne = above_.regions[i];
        }
        if (x == next_below) around.se = row_.regions[j + 1];
        west = meet({x, y}, around, north, west, south);
        if (x == next_below) row_.lines[j++] = south;
    }
}

// Lines at a corner: one that goes on, or three or four that end and begin there. The lines that come from the north and the
// west, and those that leave to the south and, given back, to the east.
Chains::End Polygonizer::meet(Corner at, const Around& around, Chains::End north, Chains::End west, Chains::End& south) {
    const bool east = around.ne != around.se, down = around.sw != around.se;
    const bool from_north = north != Chains::kNone, from_west = west != Chains::kNone;
    if (from_north + from_west + east + down > 2) {
        if (from_north) {
            const Chains::End end = chains_.extend(north, at);
            if (chains_.tie(end)) whole(end, around.ne, around.nw, false);
        }
        if (from_west) {
            const Chains::End end = chains_.extend(west, at);
            if (chains_.tie(end)) whole(end, around.nw, around.sw, false);
        }
        if (down) south = chains_.begin(at, true);
        return east ? chains_.begin(at, true) : Chains::kNone;
    }
    if (from_north && down) {
        south = north;
        return Chains::kNone;
    }
    if (from_north && east) return chains_.extend(north, at);
    if (from_north) {
        const Chains::End end = chains_.extend(north, at);
        if (chains_.same(end, west))
            whole(end, around.ne, around.nw, true);
        else if (const Chains::End last = chains_.join(end, west); last != Chains::kNone)
            whole(last, around.ne, around.nw, false);
        return Chains::kNone;
    }
    if (from_west) {
        south = chains_.extend(west, at);
        return Chains::kNone;
    }
    return south = chains_.begin(at, false);
}

// A border is complete: the line up to an end, between a region on its left and another on its right.
void Polygonizer::whole(Chains::End end, Name left, Name right, bool ring) {
    chains_.take(end, corners_);
    if (ring) {
        std::rotate(corners_.begin(), std::min_element(corners_.begin(), corners_.end(), first_of), corners_.end());
        corners_.push_back(corners_.front());
    }
    if (runs_backwards(corners_)) {
        std::reverse(corners_.begin(), corners_.end());
        std::swap(left, right);
    }
    // Where data ends, every corner stays.
    const bool inner = left != kVoid && right != kVoid;
    const std::vector<Point>& points = inner ? simplifier_(corners_) : simplifier_.exact(corners_);
    const auto number = room(borders_, free_borders_);
    Border& border = borders_[number];
    border.count = points.size();
    border.points = std::make_unique<Point[]>(points.size());
    std::copy(points.begin(), points.end(), border.points.get());
    border.area = swept(points.data(), points.size());
    border.leaves = direction(corners_[0], corners_[1]);
    border.arrives = direction(corners_[corners_.size() - 2], corners_.back());
    border.regions = 0;
    attach(2 * number, left);
    attach(2 * number + 1, right);
}

// Gives a region its half of a border.
void Polygonizer::attach(Half half, Name name) {
    if (name == kVoid) return;
    Border& border = borders_[half / 2];
    ++border.regions;
    border.next[half % 2] = kNone;
    Region& region = regions_[name];
    if (region.first == kNone)
        region.first = half;
    else
        borders_[region.last / 2].next[region.last % 2] = half;
    region.last = half;
}

// Regions that the new row does not reach.
void Polygonizer::close_ended() {
    for (const Name name : above_.regions) {
        if (name == kVoid || regions_[name].last_row == y_) continue;
        close(name);
        regions_[name].last_row = y_;  // it may have other pieces in the row above
        free_regions_.push_back(name);
    }
}

void Polygonizer::close(Name name) {
    const Region& region = regions_[name];
    sides_.clear();
    for (Half half = region.first; half != kNone; half = borders_[half / 2].next[half % 2]) {
        const Border& border = borders_[half / 2];
        const bool turned = half % 2;
        sides_.push_back({border.points.get(), border.count, turned, border.area, turned ? opposite(border.arrives) : border.leaves,
                          turned ? opposite(border.leaves) : border.arrives});
    }
    rings_.add(sides_, complete_.polygons);
    complete_.class_index.push_back(region.class_index);
    complete_.pixels.push_back(region.pixels);
    complete_.confidence.push_back(region.confidence);
    complete_.area.push_back(region.area);
    for (Half half = region.first; half != kNone;) {
        Border& border = borders_[half / 2];
        const Half next = border.next[half % 2];
        if (--border.regions == 0) {
            border.points.reset();
            free_borders_.push_back(half / 2);
        }
        half = next;
    }
}

}  // namespace rsseg
