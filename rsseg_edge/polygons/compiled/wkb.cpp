#include "wkb.h"

#include <cstring>

namespace rsseg {
namespace {

#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie in memory");
#endif

constexpr std::uint8_t kLittleEndian = 1;
constexpr std::uint32_t kPolygon = 3;

template <class Value>
std::uint8_t* put(std::uint8_t* bytes, Value value) {
    std::memcpy(bytes, &value, sizeof value);
    return bytes + sizeof value;
}

}  // namespace

void write_wkb(const Point* points, const std::int64_t* rings, const std::int64_t* polygons, std::size_t count, const Grid& grid,
               std::uint8_t* bytes, std::int64_t* ends) {
    std::uint8_t* at = bytes;
    for (std::size_t i = 0; i < count; ++i) {
        at = put(at, kLittleEndian);
        at = put(at, kPolygon);
        at = put(at, static_cast<std::uint32_t>(polygons[i + 1] - polygons[i]));
        for (std::int64_t ring = polygons[i]; ring < polygons[i + 1]; ++ring) {
            at = put(at, static_cast<std::uint32_t>(rings[ring + 1] - rings[ring]));
            for (std::int64_t k = rings[ring]; k < rings[ring + 1]; ++k) {
                at = put(at, points[k].x * grid.scale_x + grid.shift_x);
                at = put(at, points[k].y * grid.scale_y + grid.shift_y);
            }
        }
        ends[i] = at - bytes;
    }
}

}  // namespace rsseg
