// Batch norm with an activation: what both layouts in memory share. See channels.cpp for the formulas.

#pragma once

#include <algorithm>

#include "values.h"

constexpr std::int64_t PIECE = 4096;  // values that are surely in the first cache
constexpr std::int64_t SMALL_PLANE_BYTES = 128, MANY_SAMPLES = 8;  // columns are faster there than planes

// (samples, channels, positions) in this order, planes; or, where `rows` is not 0, (rows, channels * repeat).
struct Layout {
    std::int64_t samples, channels, positions, rows = 0, repeat = 1;

    Layout(int type, std::int64_t samples, std::int64_t channels, std::int64_t positions, bool channels_last)
        : samples(samples), channels(channels), positions(positions) {
        if (channels_last) {
            rows = samples * positions;
        } else if (positions * size_of(type) < SMALL_PLANE_BYTES && samples >= MANY_SAMPLES) {
            rows = samples;
            repeat = positions;
        }
    }
    bool is_planes() const { return rows == 0; }
    std::int64_t columns() const { return channels * repeat; }
    std::int64_t count() const { return samples * positions; }  // values of a channel
};

// What the norm does to channels or columns: z = (input - mean) * scale + shift.
template <typename Wide>
struct Affine {
    Array<Wide> mean, scale, shift;

    explicit Affine(std::int64_t size) : mean(size), scale(size), shift(size) {}

    // Each channel's for `repeat` columns.
    Affine repeated(std::int64_t repeat) const {
        Affine result(mean.size() * repeat);
        for (std::size_t i = 0; i < result.mean.size(); ++i) {
            result.mean[i] = mean[i / repeat];
            result.scale[i] = scale[i / repeat];
            result.shift[i] = shift[i / repeat];
        }
        return result;
    }
};

// Merge the moments of `added` values into those of `count`.
template <typename Wide>
inline void merge(Wide count, Wide& mean, Wide& squares, Wide added, Wide other_mean, Wide other_squares) {
    const Wide share = added / (count + added);
    const Wide difference = other_mean - mean;
    mean += difference * share;
    squares += other_squares + difference * difference * count * share;
}

// Whether the gradient of what the activation saw is so costly that it is written down between two passes.
template <int ACTIVATION>
constexpr bool COSTLY = ACTIVATION == SILU || ACTIVATION == GELU;
