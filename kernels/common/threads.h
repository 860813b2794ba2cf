// How a kernel splits its work over the host's threads. It is plain C, so that code compiled for a newer processor
// instantiates nothing that the linker could hand to code that must run on an older one.
#pragma once

#include <cstddef>

namespace rsseg {

struct Threads {
    // Calls task(argument, i) once for every i below count, on any thread, and returns when all are done.
    void (*run)(const Threads& self, void (*task)(void* argument, std::size_t i), std::size_t count, void* argument);
    void* host;
};

// Runs f(i) for every i below count.
template <class F>
inline void parallel_for(const Threads& threads, std::size_t count, F& f) {
    threads.run(
        threads, [](void* argument, std::size_t i) { (*static_cast<F*>(argument))(i); }, count, &f);
}

}  // namespace rsseg
