#include "dispatch.h"

#include <atomic>

namespace rsseg {
namespace {

Isa detect() {
#if defined(RSSEG_EMULATE_AVX512)
    return Isa::vnni;
#elif (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
    __builtin_cpu_init();  // it asks the operating system too, which must save the registers
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return __builtin_cpu_supports("avx512vnni") ? Isa::vnni : Isa::avx512;
    return avx2 ? Isa::avx2 : Isa::vec128;
#else
    return Isa::vec128;  // SSE2 and NEON belong to x86-64 and to aarch64
#endif
}

std::atomic<Isa> limit{Isa::vnni};

}  // namespace

Isa isa() {
    static const Isa detected = detect();
    const Isa highest = limit.load(std::memory_order_relaxed);
    return detected < highest ? detected : highest;
}

void limit_isa(Isa highest) { limit.store(highest, std::memory_order_relaxed); }

const char* isa_name(Isa which) {
    switch (which) {
        case Isa::scalar: return "scalar";
        case Isa::vec128: return "vec128";
        case Isa::avx2: return "avx2";
        case Isa::avx512: return "avx512";
        default: return "vnni";
    }
}

}  // namespace rsseg
