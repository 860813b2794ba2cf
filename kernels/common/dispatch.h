// One entry a kernel and instruction set, and the choice between them.
#pragma once

// Declares `bool name(const Problem&, const Threads&)` for every instruction set that this build holds; it returns
// false where a task found no memory. CMakeLists.txt defines the RSSEG_HAS_ macros.
#define RSSEG_DECLARE_IN(isa, name, Problem) \
    namespace isa {                          \
    bool name(const Problem&, const Threads&); \
    }

#if defined(RSSEG_HAS_AVX2)
#define RSSEG_DECLARE_AVX2(name, Problem) RSSEG_DECLARE_IN(avx2, name, Problem)
#define RSSEG_AVX2_ENTRY(name) &avx2::name
#else
#define RSSEG_DECLARE_AVX2(name, Problem)
#define RSSEG_AVX2_ENTRY(name) nullptr
#endif

#if defined(RSSEG_HAS_AVX512)
#define RSSEG_DECLARE_AVX512(name, Problem) RSSEG_DECLARE_IN(avx512, name, Problem)
#define RSSEG_AVX512_ENTRY(name) &avx512::name
#else
#define RSSEG_DECLARE_AVX512(name, Problem)
#define RSSEG_AVX512_ENTRY(name) nullptr
#endif

#if defined(RSSEG_HAS_VEC128)
#define RSSEG_DECLARE_VEC128(name, Problem) RSSEG_DECLARE_IN(vec128, name, Problem)
#define RSSEG_VEC128_ENTRY(name) &vec128::name
#else
#define RSSEG_DECLARE_VEC128(name, Problem)
#define RSSEG_VEC128_ENTRY(name) nullptr
#endif

#if defined(RSSEG_HAS_VNNI)
#define RSSEG_DECLARE_VNNI(name, Problem) RSSEG_DECLARE_IN(vnni, name, Problem)
#define RSSEG_VNNI_ENTRY(name) &vnni::name
#else
#define RSSEG_DECLARE_VNNI(name, Problem)
#define RSSEG_VNNI_ENTRY(name) nullptr
#endif

#define RSSEG_DECLARE_KERNEL(name, Problem)      \
    RSSEG_DECLARE_IN(scalar, name, Problem)      \
    RSSEG_DECLARE_VEC128(name, Problem)          \
    RSSEG_DECLARE_AVX2(name, Problem)            \
    RSSEG_DECLARE_AVX512(name, Problem)

// The fastest entry of a kernel that this build holds and this processor runs.
#define RSSEG_BEST(name) \
    ::rsseg::best(&scalar::name, RSSEG_VEC128_ENTRY(name), RSSEG_AVX2_ENTRY(name), RSSEG_AVX512_ENTRY(name), nullptr)

// The same of a kernel that multiplies bytes where the processor does; RSSEG_DECLARE_VNNI declared it.
#define RSSEG_BEST_OF_BYTES(name)                                                                                      \
    ::rsseg::best(&scalar::name, RSSEG_VEC128_ENTRY(name), RSSEG_AVX2_ENTRY(name), RSSEG_AVX512_ENTRY(name), \
                  RSSEG_VNNI_ENTRY(name))

namespace rsseg {

// VNNI is AVX-512 with products of bytes: of the kernels that have none, it runs those of AVX-512.
enum class Isa { scalar, vec128, avx2, avx512, vnni };

// The widest instruction set of this processor and operating system. The library's entry point can lower it, which the
// tests use to run every path on one machine.
Isa isa();
void limit_isa(Isa);
const char* isa_name(Isa);

// Entries that a build lacks are null, which only converts to a type that scalar has settled.
template <class Entry>
struct Settled {
    using Type = Entry;
};

template <class Entry>
Entry best(Entry scalar, typename Settled<Entry>::Type vec128, typename Settled<Entry>::Type avx2,
           typename Settled<Entry>::Type avx512, typename Settled<Entry>::Type vnni) {
    if (vnni && isa() >= Isa::vnni) return vnni;
    if (avx512 && isa() >= Isa::avx512) return avx512;
    if (avx2 && isa() >= Isa::avx2) return avx2;
    if (vec128 && isa() >= Isa::vec128) return vec128;
    return scalar;
}

}  // namespace rsseg
