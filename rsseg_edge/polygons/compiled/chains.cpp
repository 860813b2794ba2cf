#include "chains.h"

#include <utility>

namespace rsseg {

Chains::End Chains::begin(Corner at, bool tied) {
    End end;
    if (free_.empty()) {
        end = static_cast<End>(links_.size());
        links_.emplace_back();
    } else {
        end = free_.back();
        free_.pop_back();
    }
    links_[end] = {at, {kNone, kNone}, end, tied};
    return end;
}

Chains::End Chains::extend(End end, Corner at) {
    const End added = begin(at, false), other = links_[end].other;
    link(end, added);
    links_[other].other = added;
    links_[added].other = other;
    return added;
}

bool Chains::tie(End end) {
    links_[end].tied = true;
    return links_[links_[end].other].tied;
}

Chains::End Chains::join(End a, End b) {
    const End before = links_[a].other, after = links_[b].other;
    link(a, b);
    links_[before].other = after;
    links_[after].other = before;
    return links_[before].tied && links_[after].tied ? after : kNone;
}

void Chains::take(End end, std::vector<Corner>& corners) {
    corners.clear();
    for (End before = kNone, here = links_[end].other; here != kNone;) {
        corners.push_back(links_[here].at);
        free_.push_back(here);
        const End* neighbours = links_[here].neighbours;
        const End next = neighbours[0] != before ? neighbours[0] : neighbours[1];
        before = here;
        here = next;
    }
}

void Chains::link(End a, End b) {
    for (auto [here, there] : {std::pair{a, b}, std::pair{b, a}}) {
        End* neighbours = links_[here].neighbours;
        neighbours[neighbours[0] != kNone] = there;
    }
}

}  // namespace rsseg
