// Half precision by its bits, for tensors that pass through float32 kernels.
#pragma once

#include <cstdint>
#include <cstring>

namespace rsseg {

inline float from_half(std::uint16_t h) {
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16, body = h & 0x7fffu;
    std::uint32_t bits = body << 13;
    float value;
    if (body >= 0x7c00u) {
        bits |= 0x7f800000u;  // infinity and NaN
        std::memcpy(&value, &bits, sizeof value);
    } else {
        std::memcpy(&value, &bits, sizeof value);
        value *= 5.192296858534828e33f;  // 2^112: the difference of the exponents' biases; exact for denormals too
    }
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Rounds to nearest, ties to even.
inline std::uint16_t to_half(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u)  // 65536 and above, infinity, NaN
        return static_cast<std::uint16_t>(sign | (bits > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (bits < 0x38800000u) {  // below 2^-14: the addition rounds at half's last denormal place, 2^-24
        float magnitude;
        std::memcpy(&magnitude, &bits, sizeof magnitude);
        magnitude += 0.5f;
        std::memcpy(&bits, &magnitude, sizeof bits);
        return static_cast<std::uint16_t>(sign | (bits - 0x3f000000u));
    }
    bits += 0xc8000fffu + (bits >> 13 & 1u);  // exponent from bias 127 to 15, and the rounding
    return static_cast<std::uint16_t>(sign | bits >> 13);
}

}  // namespace rsseg
