#include "rings.h"

#include <algorithm>
#include <tuple>

namespace rsseg {
namespace {

constexpr std::size_t kDone = static_cast<std::size_t>(-1);

bool before(const Point& a, const Point& b) { return std::tie(a.y, a.x) < std::tie(b.y, b.x); }

}  // namespace

void RingMaker::add(const std::vector<Side>& sides, Polygons& made) {
    by_begin_.resize(sides.size());
    for (std::size_t i = 0; i < sides.size(); ++i) by_begin_[i] = i;
    const auto begins = [&](std::size_t side) -> const Point& { return sides[side].point(0); };
    std::sort(by_begin_.begin(), by_begin_.end(), [&](std::size_t a, std::size_t b) {
        return before(begins(a), begins(b)) || (!before(begins(b), begins(a)) && a < b);
    });

    ahead_.resize(sides.size());
    for (std::size_t i = 0; i < sides.size(); ++i) {
        const Point& end = sides[i].point(sides[i].count - 1);
        auto found = std::lower_bound(by_begin_.begin(), by_begin_.end(), end,
                                      [&](std::size_t side, const Point& place) { return before(begins(side), place); });
        // Where a region touches itself at a corner, its two borders there turn towards the corner's other side, so that
        // each ring meets the corner once.
        const bool twice = found + 1 != by_begin_.end() && !before(end, begins(found[1]));
        if (twice && sides[*found].leaves != (sides[i].arrives + 1) % 4) ++found;
        ahead_[i] = *found;
    }

    rings_.clear();
    std::vector<std::size_t>& seen = by_begin_;  // it is not needed any more
    std::fill(seen.begin(), seen.end(), 0);
    for (std::size_t i = 0; i < sides.size(); ++i) {
        if (seen[i] == kDone) continue;
        double area = 0;
        for (std::size_t side = i; seen[side] != kDone; side = ahead_[side]) {
            area += sides[side].turned ? -sides[side].area : sides[side].area;
            seen[side] = kDone;
        }
        rings_.push_back({area, i});
    }
    // A ring's area is negative for the outside of a region and positive for a hole.
    std::stable_sort(rings_.begin(), rings_.end(), [](const Ring& a, const Ring& b) { return a.area < b.area; });

    for (const Ring& ring : rings_) {
        std::size_t side = ring.begin;
        do {  // the last point is the next one's first
            for (std::size_t k = 0; k + 1 < sides[side].count; ++k) made.points.push_back(sides[side].point(k));
            side = ahead_[side];
        } while (side != ring.begin);
        made.points.push_back(begins(ring.begin));
        made.rings.push_back(static_cast<std::int64_t>(made.points.size()));
    }
    made.polygons.push_back(static_cast<std::int64_t>(made.rings.size()) - 1);
}

}  // namespace rsseg
