// Lines that are still being drawn, by their ends.
#pragma once

#include <vector>

#include "line.h"

namespace rsseg {

// A line's points know their neighbours and not which way it runs, so that two lines become one without a copy.
class Chains {
public:
    using End = std::int32_t;
    static constexpr End kNone = -1;

    // A line of one corner, which is both of its ends. A tied one begins where other lines do, and is whole once its other
    // end is tied too.
    End begin(Corner at, bool tied);
    // A line that grows beyond an end; what it ends with now.
    End extend(End end, Corner at);
    // Ties an end; whether the line is whole with it.
    bool tie(End end);
    // Whether two ends are those of one line.
    bool same(End a, End b) const { return links_[a].other == b; }
    // Two lines become one, from a's other end to b's; the latter where it is whole, else none.
    End join(End a, End b);
    // The corners of a whole line, up to an end; its points are free for others.
    void take(End end, std::vector<Corner>& corners);

private:
    struct Link {
        Corner at;
        End neighbours[2];
        End other;  // of an end: the line's other one
        bool tied;
    };
    void link(End a, End b);

    std::vector<Link> links_;
    std::vector<End> free_;
};

}  // namespace rsseg
