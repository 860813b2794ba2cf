// The few functions of the CUDA driver that launch a kernel, found when first needed: the library must load on a machine
// without a GPU, where TensorRT-RTX builds engines and tests run.
#pragma once

#include <cstdint>

struct CUstream_st;  // cudaStream_t and CUstream are pointers to it

namespace rsseg::cuda {

using Result = int;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using Stream = ::CUstream_st*;

constexpr int kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76;  // CUdevice_attribute
constexpr int kMaxDynamicShared = 8;                                       // CUfunction_attribute

struct Driver {
    Result (*ctx_get_device)(int* device);
    Result (*device_get_attribute)(int* value, int attribute, int device);
    Result (*module_load_data)(Module* module, const void* image);
    Result (*module_unload)(Module module);
    Result (*module_get_function)(Function* function, Module module, const char* name);
    Result (*func_set_attribute)(Function function, int attribute, int value);
    Result (*launch_kernel)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned shared, Stream stream, void** arguments, void** extra);
};

// Null where there is no driver.
const Driver* driver();

}  // namespace rsseg::cuda
