#include "fold.h"

#include <algorithm>

namespace rsseg {
namespace {

// The cubic convolution kernel, A = -0.75, at distances 1.75, 0.75, 0.25 and 1.25.
constexpr float kCubic[4] = {-0.03515625f, 0.26171875f, 0.87890625f, -0.10546875f};

std::ptrdiff_t reflect(std::ptrdiff_t i, std::ptrdiff_t size) {
    return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
}

}  // namespace

FoldAxis::FoldAxis(std::size_t size, int radius, int quads)
    : taps(2 * radius + 1), window(2 * (radius / 2) + 5) {
    const auto low = static_cast<std::ptrdiff_t>(size);
    const std::size_t groups = (size + static_cast<std::size_t>(quads) - 1) / static_cast<std::size_t>(quads);
    for (std::size_t group = 0; group < groups; ++group) {
        std::vector<float> table(static_cast<std::size_t>(window * taps * kPixels), 0.0f);
        for (int lane = 0; lane < kPixels; ++lane) {
            const std::size_t quad = group * static_cast<std::size_t>(quads) + (quads == 1 ? 0 : static_cast<std::size_t>(lane / 4));
            if (quad >= size) continue;
            const int phase = quads == 1 ? (lane >> 1) & 1 : lane & 1;
            for (int tap = 0; tap < taps; ++tap) {
                const std::ptrdiff_t up = reflect(2 * static_cast<std::ptrdiff_t>(quad) + phase + tap - radius, 2 * low);
                const bool odd = up & 1;
                for (int u = 0; u < 4; ++u) {
                    const std::ptrdiff_t feature = std::clamp<std::ptrdiff_t>(up / 2 - 2 + odd + u, 0, low - 1);
                    const auto place = static_cast<int>(feature - window_start(quad, window));
                    table[static_cast<std::size_t>((place * taps + tap) * kPixels + lane)] += kCubic[odd ? 3 - u : u];
                }
            }
        }
        const auto same = std::find(tables_.begin(), tables_.end(), table);
        table_of_group.push_back(static_cast<int>(same - tables_.begin()));
        if (same != tables_.end()) continue;

        std::vector<int> range;
        for (int place = 0; place < window; ++place) {
            int first = taps, end = 0;
            for (int tap = 0; tap < taps; ++tap) {
                const float* lanes = table.data() + (place * taps + tap) * kPixels;
                if (std::all_of(lanes, lanes + kPixels, [](float x) { return x == 0.0f; })) continue;
                first = std::min(first, tap);
                end = tap + 1;
            }
            range.push_back(std::min(first, end));
            range.push_back(end);
        }
        tables_.push_back(std::move(table));
        ranges_.push_back(std::move(range));
    }
}

const float* FoldAxis::table(std::size_t group) const {
    return tables_[static_cast<std::size_t>(table_of_group[group])].data();
}

const int* FoldAxis::range(std::size_t group) const {
    return ranges_[static_cast<std::size_t>(table_of_group[group])].data();
}

}  // namespace rsseg
