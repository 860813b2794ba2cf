// The library as C, for ctypes. What may run out of memory says so by false.
#include <algorithm>
#include <new>
#include <stdexcept>

#include "find_runs.h"
#include "polygonizer.h"
#include "wkb.h"

#if defined(_WIN32)
#define RSSEG_EXPORT extern "C" __declspec(dllexport)
#else
#define RSSEG_EXPORT extern "C" __attribute__((visibility("default")))
#endif

using namespace rsseg;

namespace {

template <class From, class To>
void copy(const std::vector<From>& from, To* to) {
    std::copy(from.begin(), from.end(), to);
}

}  // namespace

RSSEG_EXPORT std::size_t rsseg_count_runs(const std::uint8_t* class_map, std::size_t height, std::size_t width) {
    return count_runs(class_map, height, width);
}

RSSEG_EXPORT void rsseg_find_runs(const std::uint8_t* class_map, const std::uint8_t* confidence, std::size_t height, std::size_t width,
                                  const Runs* runs) {
    find_runs(class_map, confidence, height, width, *runs);
}

RSSEG_EXPORT Polygonizer* rsseg_polygonizer_new(std::size_t width, double tolerance) {
    return new (std::nothrow) Polygonizer(width, tolerance);
}

RSSEG_EXPORT void rsseg_polygonizer_delete(Polygonizer* polygonizer) { delete polygonizer; }

RSSEG_EXPORT bool rsseg_polygonizer_add(Polygonizer* polygonizer, const Runs* runs, std::size_t count, std::size_t rows,
                                        const double* pixel_areas) {
    try {
        polygonizer->add(*runs, count, rows, pixel_areas);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    } catch (const std::length_error&) {
        return false;
    }
}

// How many regions, rings and points are complete.
RSSEG_EXPORT void rsseg_polygonizer_count(Polygonizer* polygonizer, std::int64_t counts[3]) {
    const Regions& regions = polygonizer->complete();
    counts[0] = static_cast<std::int64_t>(regions.class_index.size());
    counts[1] = static_cast<std::int64_t>(regions.polygons.rings.size()) - 1;
    counts[2] = static_cast<std::int64_t>(regions.polygons.points.size());
}

// Columns of those regions: class_index, pixels, area, the sum of their pixels' confidence, and their polygons.
struct RegionColumns {
    std::int64_t *class_index, *pixels;
    double* area;
    std::int64_t* confidence;
    Point* points;
    std::int64_t *rings, *polygons;
};

// Moves them out.
RSSEG_EXPORT void rsseg_polygonizer_take(Polygonizer* polygonizer, const RegionColumns* columns) {
    Regions& regions = polygonizer->complete();
    copy(regions.class_index, columns->class_index);
    copy(regions.pixels, columns->pixels);
    copy(regions.area, columns->area);
    copy(regions.confidence, columns->confidence);
    copy(regions.polygons.points, columns->points);
    copy(regions.polygons.rings, columns->rings);
    copy(regions.polygons.polygons, columns->polygons);
    regions = Regions{};  // with their memory: the last ones of a scene are large
}

RSSEG_EXPORT void rsseg_write_wkb(const Point* points, const std::int64_t* rings, const std::int64_t* polygons, std::size_t count,
                                  const Grid* grid, std::uint8_t* bytes, std::int64_t* ends) {
    write_wkb(points, rings, polygons, count, *grid, bytes, ends);
}
