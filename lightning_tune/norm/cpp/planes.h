// Batch norm with an activation of planes: a channel at a time, which stays in the second cache. See channels.cpp.

#pragma once

#include "layout.h"

// Mean, and sum of squared deviations from it.
template <typename Stored>
void moments_of_channel(const Stored* input, const Layout& at, std::int64_t channel, WideOf<Stored>& mean,
                        WideOf<Stored>& squares) {
    using Wide = WideOf<Stored>;
    const Wide pivot = at.count() == 0 ? Wide(0) : widen(input[channel * at.positions]);
    double seen = 0, whole = 0, deviations = 0;  // of a count of millions float32 loses digits
    for (std::int64_t sample = 0; sample < at.samples; ++sample) {
        const Stored* const plane = input + (sample * at.channels + channel) * at.positions;
        for (std::int64_t start = 0; start < at.positions; start += PIECE) {
            const Stored* const x = plane + start;
            const std::int64_t piece = std::min(PIECE, at.positions - start);
            const Wide middle = sum_of<Wide>(piece, [=](std::int64_t i) { return widen(x[i]) - pivot; }) / piece;
            const Wide around = sum_of<Wide>(piece, [=](std::int64_t i) {
                const Wide difference = widen(x[i]) - pivot - middle;
                return difference * difference;
            });
            merge<double>(seen, whole, deviations, piece, middle, around);
            seen += piece;
        }
    }
    mean = static_cast<Wide>(pivot + whole);
    squares = static_cast<Wide>(deviations);
}

template <typename Stored, int ACTIVATION>
void apply_to_plane(const Stored* input, const Layout& at, std::int64_t sample, std::int64_t channel,
                    const Affine<WideOf<Stored>>& by, Stored* output) {
    using Wide = WideOf<Stored>;
    const Wide mean = by.mean[channel], scale = by.scale[channel], shift = by.shift[channel];
    const std::int64_t start = (sample * at.channels + channel) * at.positions;
    const Stored* const x = input + start;
    Stored* const y = output + start;
#pragma omp simd
    for (std::int64_t i = 0; i < at.positions; ++i)
        y[i] = narrow<Stored>(activate<ACTIVATION, Stored>((widen(x[i]) - mean) * scale + shift));
}

// `sum` is of g, `projection` of g * (input - mean); `g` has room for PIECE values.
template <typename Stored, int ACTIVATION>
void backward_of_channel(const Stored* grad_output, const Stored* input, const Layout& at, std::int64_t channel,
                         const Affine<WideOf<Stored>>& by, WideOf<Stored> rstd, bool training, Stored* grad_input,
                         WideOf<Stored>& sum, WideOf<Stored>& projection, WideOf<Stored>* g) {
    using Wide = WideOf<Stored>;
    const Wide mean = by.mean[channel], scale = by.scale[channel], shift = by.shift[channel];
    sum = projection = 0;
    for (std::int64_t sample = 0; sample < at.samples; ++sample) {
        for (std::int64_t within = 0; within < at.positions; within += PIECE) {
            const std::int64_t start = (sample * at.channels + channel) * at.positions + within;
            const std::int64_t piece = std::min(PIECE, at.positions - within);
            const Stored* const x = input + start;
            const Stored* const dy = grad_output + start;
            Wide part = 0, along = 0;
#pragma omp simd reduction(+ : part, along)
            for (std::int64_t i = 0; i < piece; ++i) {
                const Wide centred = widen(x[i]) - mean;
                const Wide through = widen(dy[i]) * slope<ACTIVATION, Stored>(centred * scale + shift);
                g[i] = through;
                part += through;
                along += through * centred;
            }
            sum += part;
            projection += along;
            if (COSTLY<ACTIVATION> || !training) {
                const Wide factor = training ? Wide(1) : scale;
                Stored* const dx = grad_input + start;
#pragma omp simd
                for (std::int64_t i = 0; i < piece; ++i) dx[i] = narrow<Stored>(g[i] * factor);
            }
        }
    }
    if (!training) return;
    const Wide average = sum / at.count(), slant = projection / at.count() * rstd * rstd;
    for (std::int64_t sample = 0; sample < at.samples; ++sample) {
        const std::int64_t start = (sample * at.channels + channel) * at.positions;
        const Stored* const x = input + start;
        Stored* const dx = grad_input + start;
        const Stored* const given = COSTLY<ACTIVATION> ? dx : grad_output + start;
#pragma omp simd
        for (std::int64_t i = 0; i < at.positions; ++i) {
            const Wide centred = widen(x[i]) - mean;
            const Wide open = COSTLY<ACTIVATION> ? Wide(1) : slope<ACTIVATION, Stored>(centred * scale + shift);
            dx[i] = narrow<Stored>(scale * (widen(given[i]) * open - average - centred * slant));
        }
    }
}
