// Runs of a class map: neighbours in a row that have one class.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rsseg {

// Columns of a table with a row a run.
struct Runs {
    std::int64_t* start;  // position of the first pixel in the flattened class map
    std::int64_t* row;
    std::int64_t* length;
    std::uint8_t* class_index;
    std::int64_t* confidence;  // the sum of its pixels
};

std::size_t count_runs(const std::uint8_t* class_map, std::size_t height, std::size_t width);
void find_runs(const std::uint8_t* class_map, const std::uint8_t* confidence, std::size_t height, std::size_t width, const Runs& runs);

}  // namespace rsseg
