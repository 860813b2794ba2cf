#include "simplify.h"

#include <algorithm>

namespace rsseg {
namespace {

constexpr double kNear = 0.5, kStrip = 0.49, kLeastLength = 1e-9, kLeastArea = 1e-6;

}  // namespace

Simplifier::Simplifier(double tolerance) : tolerance_(tolerance), limit2_(kStrip * tolerance * (kStrip * tolerance)) {}

const std::vector<Point>& Simplifier::operator()(const std::vector<Corner>& corners) {
    exact(corners);
    const bool rectangle = corners.size() == 5 && corners.front() == corners.back();
    if (tolerance_ <= 0 || corners.size() <= 3 || rectangle) return corners_;
    // From the line's own beginning: areas of a scene have too many digits.
    const Point origin = corners_.front();
    for (Point& corner : corners_) corner = corner - origin;
    divide();
    straighten();
    std::vector<Point>& result = kept_.size() < corners.size() && shift() ? points_ : corners_;
    for (Point& point : result) point = point + origin;
    return result;
}

const std::vector<Point>& Simplifier::exact(const std::vector<Corner>& corners) {
    corners_.clear();
    for (const Corner& corner : corners) corners_.push_back({static_cast<double>(corner.x), static_cast<double>(corner.y)});
    return corners_;
}

Point Simplifier::place(Place at) const {
    const Point& corner = corners_[at / 2];
    return at % 2 ? (corner + corners_[at / 2 + 1]) * 0.5 : corner;
}

// Douglas and Peucker's division, at the longer edge beside the farthest corner.
void Simplifier::divide() {
    const Place last = 2 * (corners_.size() - 1);
    kept_ = {0, last};
    open_ = {{0, last}};
    while (!open_.empty()) {
        const auto [begin, end] = open_.back();
        open_.pop_back();
        const Farthest most = farthest(begin, end);
        if (!(most.distance2 > limit2_ * most.scale)) continue;
        const std::size_t corner = most.corner;
        const Place before = 2 * corner - 1, after = 2 * corner + 1;
        const bool longer = (corners_[corner] - corners_[corner - 1]).length2() >= (corners_[corner + 1] - corners_[corner]).length2();
        Place at = 2 * corner;
        if (before > begin && (longer || after >= end))
            at = before;
        else if (after < end)
            at = after;
        kept_.push_back(at);
        open_.emplace_back(begin, at);
        open_.emplace_back(at, end);
    }
    std::sort(kept_.begin(), kept_.end());
}

// Of the corners strictly between two places; none is 0 away.
Simplifier::Farthest Simplifier::farthest(Place begin, Place end) const {
    const Point from = place(begin), along = place(end) - from;
    const double length2 = along.length2();
    Farthest most{-1, length2 > 0 ? length2 : 1, 0};
    for (std::size_t corner = begin / 2 + 1; corner <= (end - 1) / 2; ++corner) {
        const Point out = corners_[corner] - from;
        const double there = dot(out, along), aside = cross(along, out);
        double distance2 = aside * aside;
        if (there <= 0)
            distance2 = out.length2() * most.scale;
        else if (there >= length2)
            distance2 = (out - along).length2() * most.scale;
        if (distance2 > most.distance2) most.distance2 = distance2, most.corner = corner;
    }
    most.distance2 = std::max(most.distance2, 0.0);
    return most;
}

// Leaves out the places at which the line through all that are kept does not bend.
void Simplifier::straighten() {
    std::size_t count = 0;
    Point before{}, here = place(kept_[0]);
    for (std::size_t i = 0; i < kept_.size(); ++i) {
        const bool inner = i > 0 && i + 1 < kept_.size();
        const Point next = place(kept_[std::min(i + 1, kept_.size() - 1)]);
        if (!inner || cross(here - before, next - here) != 0) kept_[count++] = kept_[i];
        before = here;
        here = next;
    }
    kept_.resize(count);
}

// By how much the line from each kept place to the next may move before a corner is kNear away from it.
double Simplifier::room(std::size_t line) const {
    const Farthest most = farthest(kept_[line], kept_[line + 1]);
    return kNear - std::sqrt(most.distance2 / most.scale);
}

// Moves the line sideways so that either side keeps its area; whether that is not too far.
bool Simplifier::shift() {
    const std::size_t count = kept_.size();
    points_.clear();
    for (Place at : kept_) points_.push_back(place(at));
    rooms_.clear();
    for (std::size_t line = 0; line + 1 < count; ++line) rooms_.push_back(room(line));
    shifts_.assign(count, {0, 0});
    for (std::size_t i = 1; i + 1 < count; ++i) {
        const Point chord = points_[i + 1] - points_[i - 1];
        const double length = std::max(std::hypot(chord.x, chord.y), kLeastLength);
        shifts_[i] = Point{chord.y / length, -chord.x / length} * std::min(rooms_[i - 1], rooms_[i]);
    }
    const double lost = swept(corners_.data(), corners_.size()) - swept(points_.data(), count);
    // What lines sweep is a polynomial of the shift: (p + tn) x (q + tm) = p x q + t (p x m + n x q) + t2 (n x m).
    const double twice = swept(shifts_.data(), count);
    double once = 0;
    for (std::size_t i = 0; i + 1 < count; ++i) once += cross(points_[i], shifts_[i + 1]) + cross(shifts_[i], points_[i + 1]);
    const double root = std::sqrt(std::max(once * once + 4 * twice * lost, 0.0));
    const double part = once + root > 0 ? 2 * lost / (once + root) : 0;
    if (std::abs(lost - once * part - twice * part * part) > kLeastArea || std::abs(part) >= 1) return false;
    for (std::size_t i = 0; i < count; ++i) points_[i] = points_[i] + shifts_[i] * part;
    return true;
}

}  // namespace rsseg
