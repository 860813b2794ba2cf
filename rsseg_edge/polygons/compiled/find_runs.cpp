#include "find_runs.h"

#include <cstring>

namespace rsseg {
namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kOnes = 0x0101010101010101, kEven = 0x00ff00ff00ff00ff, kSum = 0x0001000100010001;

std::uint64_t word(const std::uint8_t* bytes) {
    std::uint64_t value;
    std::memcpy(&value, bytes, kWord);
    return value;
}

// Eight pixels at a time while they are all of the first one's class.
const std::uint8_t* end_of_run(const std::uint8_t* begin, const std::uint8_t* end) {
    const std::uint64_t same = kOnes * *begin;
    const std::uint8_t* at = begin + 1;
    while (at + kWord <= end && word(at) == same) at += kWord;
    while (at < end && *at == *begin) ++at;
    return at;
}

std::int64_t sum(const std::uint8_t* begin, const std::uint8_t* end) {
    std::uint64_t total = 0;
    for (; begin + kWord <= end; begin += kWord) {
        const std::uint64_t value = word(begin), pairs = (value & kEven) + ((value >> 8) & kEven);
        total += (pairs * kSum) >> 48;
    }
    for (; begin < end; ++begin) total += *begin;
    return static_cast<std::int64_t>(total);
}

}  // namespace

std::size_t count_runs(const std::uint8_t* class_map, std::size_t height, std::size_t width) {
    std::size_t count = width ? height : 0;
    for (std::size_t y = 0; y < height; ++y, class_map += width) {
        std::size_t changes = 0;
        for (std::size_t x = 1; x < width; ++x) changes += class_map[x] != class_map[x - 1];
        count += changes;
    }
    return count;
}

void find_runs(const std::uint8_t* class_map, const std::uint8_t* confidence, std::size_t height, std::size_t width, const Runs& runs) {
    std::size_t number = 0;
    for (std::size_t y = 0; y < height; ++y) {
        const std::uint8_t *begin = class_map + y * width, *end = begin + width;
        while (begin < end) {
            const std::uint8_t* next = end_of_run(begin, end);
            const auto start = begin - class_map, stop = next - class_map;
            runs.start[number] = start;
            runs.row[number] = static_cast<std::int64_t>(y);
            runs.length[number] = stop - start;
            runs.class_index[number] = *begin;
            runs.confidence[number] = sum(confidence + start, confidence + stop);
            ++number;
            begin = next;
        }
    }
}

}  // namespace rsseg
