#include "cuda_driver.h"

#include <dlfcn.h>

namespace rsseg::cuda {
namespace {

template <class F>
bool find(void* library, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
}

}  // namespace

const Driver* driver() {
    static const Driver* found = []() -> const Driver* {
        void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        static Driver d;
        const bool complete = library && find(library, "cuCtxGetDevice", d.ctx_get_device) &&
                              find(library, "cuDeviceGetAttribute", d.device_get_attribute) &&
                              find(library, "cuModuleLoadData", d.module_load_data) &&
                              find(library, "cuModuleUnload", d.module_unload) &&
                              find(library, "cuModuleGetFunction", d.module_get_function) &&
                              find(library, "cuFuncSetAttribute", d.func_set_attribute) &&
                              find(library, "cuLaunchKernel", d.launch_kernel);
        return complete ? &d : nullptr;
    }();
    return found;
}

}  // namespace rsseg::cuda
