// A Triton kernel compiled ahead of time: its PTX from the folder beside this library, and how to launch it.
#pragma once

#include <map>
#include <string>

#include "cuda_driver.h"

namespace rsseg {

class PtxKernel {
public:
    // Loads <package>/ptx/sm_<arch>/<name>.ptx into the current context: the device's own architecture where we ship it,
    // else sm_80, which every later device compiles. Throws std::runtime_error.
    explicit PtxKernel(const std::string& name);
    ~PtxKernel();
    PtxKernel(const PtxKernel&) = delete;
    PtxKernel& operator=(const PtxKernel&) = delete;

    // A number of the launch metadata: BLOCK_N and so on.
    unsigned number(const char* key) const;

    // Launches with the arguments in the kernel's order. Returns the driver's result, 0 on success.
    template <class... Arguments>
    int launch(cuda::Stream stream, std::size_t x, std::size_t y, std::size_t z, Arguments... arguments) const {
        // Triton's kernels end with two pointers to scratch memory; the compiler has checked that ours use none.
        void *global_scratch = nullptr, *profile_scratch = nullptr;
        void* addresses[] = {static_cast<void*>(&arguments)..., &global_scratch, &profile_scratch};
        return launch_addresses(stream, x, y, z, addresses);
    }

private:
    int launch_addresses(cuda::Stream stream, std::size_t x, std::size_t y, std::size_t z, void** addresses) const;

    std::map<std::string, std::string> metadata_;
    cuda::Module module_ = nullptr;
    cuda::Function function_ = nullptr;
};

}  // namespace rsseg
