// The types that the kernels take, and the functions of single values that they share.
//
// Loops over values are written so that a compiler can turn them into vector instructions: no calls, no branches.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <type_traits>
#include <vector>

#include <omp.h>

// Arrays that begin with a cache line: a vector instruction that crosses one takes twice as long.
template <typename T>
struct Aligned {
    using value_type = T;
    static constexpr std::align_val_t LINE{64};

    Aligned() = default;
    template <typename Other>
    Aligned(const Aligned<Other>&) {}
    T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), LINE)); }
    void deallocate(T* array, std::size_t) { ::operator delete(array, LINE); }
    bool operator==(const Aligned&) const { return true; }
    bool operator!=(const Aligned&) const { return false; }
};
template <typename T>
using Array = std::vector<T, Aligned<T>>;

// bfloat16: the upper half of a float32, rounded to the nearest, to even from half way.
struct BFloat16 {
    std::uint16_t bits;
};

inline float widen(float value) { return value; }
inline double widen(double value) { return value; }
inline float widen(BFloat16 value) {
    const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

template <typename Stored, typename Wide>
inline Stored narrow(Wide value) {
    return static_cast<Stored>(value);
}
template <>
inline BFloat16 narrow<BFloat16, float>(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return {static_cast<std::uint16_t>(value == value ? rounded : 0x7fc0u)};
}

// What is computed in: float32 for float32 and bfloat16, float64 for float64.
template <typename Stored>
using WideOf = decltype(widen(Stored{}));

enum Type { FLOAT32 = 0, BFLOAT16 = 1, FLOAT64 = 2 };
inline std::int64_t size_of(int type) { return type == FLOAT32 ? 4 : type == BFLOAT16 ? 2 : 8; }

enum Activation { NONE = 0, RELU = 1, SILU = 2, GELU = 3 };

// A parameter as an array of the wide type: its own memory if it is of that type, else a converted copy.
template <typename Wide>
class Parameter {
  public:
    Parameter(const void* data, int type, std::int64_t size, Wide otherwise, bool needed = true) {
        if (data == nullptr) {
            if (needed) copy_.assign(size, otherwise);
            values_ = copy_.data();
        } else if (type == BFLOAT16) {
            const auto* stored = static_cast<const BFloat16*>(data);
            copy_.resize(size);
            for (std::int64_t i = 0; i < size; ++i) copy_[i] = widen(stored[i]);
            values_ = copy_.data();
        } else {  // float32 beside float32 or bfloat16, float64 beside float64
            values_ = static_cast<const Wide*>(data);
        }
    }
    const Wide* values() const { return values_; }

  private:
    Array<Wide> copy_;
    const Wide* values_;
};

// Run what a caller from C asks for; tell of an exception, of memory that is not there, by 1.
template <typename Body>
inline int guarded(const Body body) {
    try {
        body();
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

// What there is for a type, of three.
template <typename Choice>
inline const Choice& of_type(int type, const Choice& float32, const Choice& bfloat16, const Choice& float64) {
    return type == FLOAT32 ? float32 : type == BFLOAT16 ? bfloat16 : float64;
}

// Sums over many rows are made of sums of so many: added one by one they lose digits.
constexpr std::int64_t BLOCK = 64;

// Add sums of a block to those of all, and begin with 0 again.
template <typename Wide>
inline void move_sums(Wide* block, Wide* whole, std::int64_t size) {
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) {
        whole[i] += block[i];
        block[i] = 0;
    }
}

// Add up each thread's sums, in the threads' order, to those of the first.
template <typename Wide>
inline void add_threads(Array<Wide>& sums, std::int64_t size, int threads) {
    for (int thread = 1; thread < threads; ++thread)
        for (std::int64_t i = 0; i < size; ++i) sums[i] += sums[size * thread + i];
}

// Write wide values to a tensor of a type.
template <typename Wide>
inline void store(void* to, int type, const Wide* values, std::int64_t size) {
    if (to == nullptr) return;
    if (type == BFLOAT16) {
        for (std::int64_t i = 0; i < size; ++i)
            static_cast<BFloat16*>(to)[i] = narrow<BFloat16>(static_cast<float>(values[i]));
    } else {
        std::memcpy(to, values, size * sizeof(Wide));
    }
}

// The sum of value(0), ..., value(count - 1). Of many, four sums go side by side: an addition need not wait for the one
// before it.
template <typename Wide, typename Value>
inline Wide sum_of(std::int64_t count, const Value value) {
    const std::int64_t quarter = count < 256 ? 0 : count / 4;
    Wide first = 0, second = 0, third = 0, fourth = 0;
#pragma omp simd reduction(+ : first, second, third, fourth)
    for (std::int64_t i = 0; i < quarter; ++i) {
        first += value(i);
        second += value(quarter + i);
        third += value(2 * quarter + i);
        fourth += value(3 * quarter + i);
    }
#pragma omp simd reduction(+ : first)
    for (std::int64_t i = 4 * quarter; i < count; ++i) first += value(i);
    return (first + second) + (third + fourth);
}

// What is stored in bfloat16 is rounded by up to 2e-3: a tenth of that is lost on the way, for half of the time.
template <typename Stored>
constexpr bool COARSE = std::is_same_v<Stored, BFloat16>;

// e^x in float32: x = n log 2 + r, a polynomial of r, and n added to the exponent. To two units in the last place, the
// polynomial's relative error is below 2e-9; 8e-5 for bfloat16. Infinite above 88, and 0 below -87.
template <typename Stored>
inline float exponential(float x) {
    const float within = !(x > -87.0f) ? -87.0f : (x > 88.0f ? 88.0f : x);
    const float halves = within * 1.44269504f;
    const float n = std::nearbyint(halves);
    float p;
    if constexpr (COARSE<Stored>) {
        const float r = halves - n;
        p = 0.055171645f;
        p = p * r + 0.24261112f;
        p = p * r + 0.69326099f;
        p = p * r + 0.99992807f;
    } else {
        const float r = (within - n * 0.693359375f) + n * 2.12194440e-4f;  // log 2 in two parts
        p = 1.38368e-3f;
        p = p * r + 8.37482e-3f;
        p = p * r + 4.166823e-2f;
        p = p * r + 0.1666642f;
        p = p * r + 0.49999992f;
        p = p * r + 1.00000004f;
        p = p * r + 1.0f;
    }
    std::int32_t bits;
    std::memcpy(&bits, &p, sizeof bits);
    bits += static_cast<std::int32_t>(n) * (1 << 23);
    std::memcpy(&p, &bits, sizeof bits);
    p = x > 88.0f ? std::numeric_limits<float>::infinity() : (x < -87.0f ? 0.0f : p);
    return x == x ? p : x;
}
template <typename Stored>
inline double exponential(double x) {
    return std::exp(x);
}

// The normal distribution's share below x, from e^(-x^2/2). In float32 erfc(z) e^(z^2) is t P(t), t = 1 / (1 + z/2),
// with a polynomial fitted in 4,000 Chebyshev points of z in [0, 10]: relative error below 5e-8; for bfloat16 9e-5.
template <typename Stored>
inline float normal_cdf(float x, float bell) {
    const float t = 1.0f / (1.0f + 0.35355339f * std::fabs(x));
    float p;
    if constexpr (COARSE<Stored>) {
        p = -0.1685209f;
        p = p * t + 0.4661748f;
        p = p * t + 0.112749f;
        p = p * t + 0.3096321f;
        p = p * t + 0.2800514f;
    } else {
        p = -5.90692158e-2f;
        p = p * t + 0.284576169f;
        p = p * t - 0.487202301f;
        p = p * t + 0.278069789f;
        p = p * t - 2.66273858e-2f;
        p = p * t + 0.202687555f;
        p = p * t + 0.243103601f;
        p = p * t + 0.282375329f;
        p = p * t + 0.282086417f;
    }
    const float tail = 0.5f * t * p * bell;
    return tail + static_cast<float>(x >= 0) * (1.0f - 2.0f * tail);  // no branch
}
template <typename Stored>
inline double normal_cdf(double x, double) {
    return 0.5 * std::erfc(-x * 0.70710678118654752440);
}

// An activation of what the norm gives; NaN stays NaN.
template <int ACTIVATION, typename Stored, typename Wide>
inline Wide activate(Wide z) {
    if constexpr (ACTIVATION == RELU) return Wide(0) > z ? Wide(0) : z;  // one instruction
    if constexpr (ACTIVATION == SILU) return z / (1 + exponential<Stored>(-z));
    if constexpr (ACTIVATION == GELU) return z * normal_cdf<Stored>(z, exponential<Stored>(Wide(-0.5) * z * z));
    return z;
}

// Its derivative.
template <int ACTIVATION, typename Stored, typename Wide>
inline Wide slope(Wide z) {
    if constexpr (ACTIVATION == RELU) return static_cast<Wide>(!(z <= 0));
    if constexpr (ACTIVATION == SILU) {
        const Wide share = 1 / (1 + exponential<Stored>(-z));
        return share * (1 + z * (1 - share));
    }
    if constexpr (ACTIVATION == GELU) {
        const Wide bell = exponential<Stored>(Wide(-0.5) * z * z);
        return normal_cdf<Stored>(z, bell) + z * Wide(0.39894228040143267794) * bell;
    }
    return 1;
}
