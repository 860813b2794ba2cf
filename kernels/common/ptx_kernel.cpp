#include "ptx_kernel.h"

#include <dlfcn.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace rsseg {
namespace {

// <package>/lib/librsseg_trt_plugins.so to <package>/ptx
std::string ptx_folder() {
    Dl_info info{};
    dladdr(reinterpret_cast<void*>(&ptx_folder), &info);
    const std::string library = info.dli_fname ? info.dli_fname : "";
    const auto slash = library.rfind('/');
    return (slash == std::string::npos ? "." : library.substr(0, slash)) + "/../ptx";
}

bool read(const std::string& path, std::string& text) {
    std::ifstream file(path);
    if (!file) return false;
    std::ostringstream all;
    all << file.rdbuf();
    text = all.str();
    return true;
}

void check(int result, const std::string& what) {
    if (result) throw std::runtime_error(what + ": CUDA driver error " + std::to_string(result));
}

}  // namespace

PtxKernel::PtxKernel(const std::string& name) {
    const cuda::Driver* driver = cuda::driver();
    if (!driver) throw std::runtime_error(name + ": no CUDA driver (libcuda.so.1)");
    int device = 0, major = 0, minor = 0;
    check(driver->ctx_get_device(&device), name);
    check(driver->device_get_attribute(&major, cuda::kComputeCapabilityMajor, device), name);
    check(driver->device_get_attribute(&minor, cuda::kComputeCapabilityMinor, device), name);
    if (major < 8) throw std::runtime_error(name + ": compute capability 8.0 or later is needed");

    std::string text;
    const std::string folder = ptx_folder(), own = folder + "/sm_" + std::to_string(10 * major + minor);
    if (!read(own + "/" + name + ".ptx", text) && !read(folder + "/sm_80/" + name + ".ptx", text))
        throw std::runtime_error(name + ": no PTX in " + folder + "; python -m rsseg_edge.kernels.aot makes it");
    // The first line: // rsseg key=value key=value
    std::istringstream words(text.substr(0, text.find('\n')));
    for (std::string word; words >> word;) {
        const auto equals = word.find('=');
        if (equals != std::string::npos) metadata_[word.substr(0, equals)] = word.substr(equals + 1);
    }
    check(driver->module_load_data(&module_, text.c_str()), name);
    check(driver->module_get_function(&function_, module_, metadata_["entry"].c_str()), name);
    // Above 48 kB a kernel has to ask.
    if (number("shared") > 48 * 1024)
        check(driver->func_set_attribute(function_, cuda::kMaxDynamicShared, static_cast<int>(number("shared"))), name);
}

PtxKernel::~PtxKernel() {
    if (module_) cuda::driver()->module_unload(module_);
}

unsigned PtxKernel::number(const char* key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) throw std::runtime_error(std::string("PTX without ") + key);
    return static_cast<unsigned>(std::stoul(found->second));
}

int PtxKernel::launch_addresses(cuda::Stream stream, std::size_t x, std::size_t y, std::size_t z, void** addresses) const {
    return cuda::driver()->launch_kernel(function_, static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z),
                                         number("threads"), 1, 1, number("shared"), stream, addresses, nullptr);
}

}  // namespace rsseg
