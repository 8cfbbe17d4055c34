// Batch norm with an activation: what both layouts in memory share. See channels.cpp for the formulas.

#pragma once

#include <algorithm>

#include "values.h"

constexpr std::int64_t PIECE = 4096;  // values that are surely in the first cache
constexpr std::int64_t SMALL_PLANE_BYTES = 128, MANY_SAMPLES = 2;  // columns are faster there than planes
constexpr std::int64_t LANES = 32, WIDE_ROW = 512;                 // values of a vector; of a row that keeps it busy

// (samples, channels, positions) in this order, planes; or rows of columns. A column is a position of a channel (small
// planes, `repeat` of them side by side), or a channel; few channels are taken several times, `tile` rows as one. Then
// the last row may be shorter, by whole channels.
struct Layout {
    std::int64_t samples, channels, positions, repeat = 1, tile = 1;
    bool planes = false;

    Layout(int type, std::int64_t samples, std::int64_t channels, std::int64_t positions, bool channels_last)
        : samples(samples), channels(channels), positions(positions) {
        if (channels_last) {
            if (channels % LANES != 0 && channels < 8 * LANES)
                tile = LANES * (WIDE_ROW / (LANES * std::max<std::int64_t>(1, channels)) + 1);
            tile = std::max<std::int64_t>(1, std::min(tile, count()));
        } else if (positions * size_of(type) < SMALL_PLANE_BYTES && samples >= MANY_SAMPLES) {
            repeat = positions;
        } else {
            planes = true;
        }
    }
    std::int64_t count() const { return samples * positions; }  // values of a channel
    std::int64_t columns() const { return channels * repeat * tile; }
    std::int64_t channel_of(std::int64_t column) const { return tile > 1 ? column % channels : column / repeat; }
    std::int64_t size() const { return count() * channels; }
    std::int64_t rows() const { return columns() == 0 ? 0 : size() / columns(); }  // whole ones
    std::int64_t rest() const { return size() - rows() * columns(); }              // values of the last, shorter one
};

// What the norm does to channels or columns: z = (input - mean) * scale + shift.
template <typename Wide>
struct Affine {
    Array<Wide> mean, scale, shift;

    explicit Affine(std::int64_t size) : mean(size), scale(size), shift(size) {}

    // Each channel's, for all of its columns.
    Affine of_columns(const Layout& at) const {
        Affine result(at.columns());
        for (std::int64_t i = 0; i < at.columns(); ++i) {
            const std::int64_t channel = at.channel_of(i);
            result.mean[i] = mean[channel];
            result.scale[i] = scale[channel];
            result.shift[i] = shift[channel];
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
    squares += other_squares + difference * (count * share) * difference;
}

// Whether the gradient of what the activation saw is so costly that it is written down between two passes.
template <int ACTIVATION>
constexpr bool COSTLY = ACTIVATION == SILU || ACTIVATION == GELU;
