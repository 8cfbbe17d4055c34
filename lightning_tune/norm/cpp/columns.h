// Batch norm with an activation of rows of columns: with the channels last, or of planes so small that each position
// of a channel is a column of its own. See channels.cpp for the formulas, layout.h for what a row is.

#pragma once

#include "layout.h"

// The rows of one thread.
struct Share {
    std::int64_t first, end;

    explicit Share(std::int64_t rows) {
        const std::int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        first = rows * thread / threads;
        end = rows * (thread + 1) / threads;
    }
    std::int64_t count() const { return end - first; }
};

// Mean of input - pivot, and sum of squared deviations from it, of the columns of whole rows.
template <typename Stored>
void moments_of_columns(const Stored* input, const Layout& at, const WideOf<Stored>* pivot, WideOf<Stored>* mean,
                        WideOf<Stored>* squares, int threads) {
    using Wide = WideOf<Stored>;
    const std::int64_t rows = at.rows(), columns = at.columns();
    const std::int64_t piece = std::max<std::int64_t>(1, PIECE / std::max<std::int64_t>(1, columns));
    Array<Wide> means(columns * threads, 0), deviations(columns * threads, 0), counts(threads, 0);
    Array<Wide> buffers(2 * columns * threads);
#pragma omp parallel num_threads(threads)
    {
        const Share share(rows);
        const int thread = omp_get_thread_num();
        Wide* const own_mean = means.data() + columns * thread;
        Wide* const own_squares = deviations.data() + columns * thread;
        Wide* const middle = buffers.data() + 2 * columns * thread;
        Wide* const around = middle + columns;
        for (std::int64_t row = share.first; row < share.end; row += piece) {
            const std::int64_t count = std::min(piece, share.end - row);
            const Stored* const x = input + row * columns;
            std::fill_n(middle, 2 * columns, Wide(0));
            for (std::int64_t j = 0; j < count; ++j)
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) middle[i] += widen(x[j * columns + i]) - pivot[i];
#pragma omp simd
            for (std::int64_t i = 0; i < columns; ++i) middle[i] /= count;
            for (std::int64_t j = 0; j < count; ++j)
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) {
                    const Wide difference = widen(x[j * columns + i]) - pivot[i] - middle[i];
                    around[i] += difference * difference;
                }
            const Wide seen = row - share.first;
#pragma omp simd
            for (std::int64_t i = 0; i < columns; ++i)
                merge<Wide>(seen, own_mean[i], own_squares[i], count, middle[i], around[i]);
        }
        counts[thread] = share.count();
    }
    std::fill_n(mean, columns, Wide(0));
    std::fill_n(squares, columns, Wide(0));
    Wide seen = 0;
    for (int thread = 0; thread < threads; ++thread) {
        if (counts[thread] == 0) continue;
        const Wide *other = means.data() + columns * thread, *around = deviations.data() + columns * thread;
        for (std::int64_t i = 0; i < columns; ++i)
            merge<Wide>(seen, mean[i], squares[i], counts[thread], other[i], around[i]);
        seen += counts[thread];
    }
}

// Call with where each row begins and how many values it has, the last and shorter one, too.
template <typename Row>
void for_rows(const Layout& at, int threads, const Row row) {
    const std::int64_t rows = at.rows(), columns = at.columns(), rest = at.rest();
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < rows; ++i) row(i * columns, columns);
    if (rest > 0) row(rows * columns, rest);
}

template <typename Stored, int ACTIVATION>
void apply_to_columns(const Stored* input, const Layout& at, const Affine<WideOf<Stored>>& by, Stored* output,
                      int threads) {
    const auto *mean = by.mean.data(), *scale = by.scale.data(), *shift = by.shift.data();
    for_rows(at, threads, [=](std::int64_t start, std::int64_t width) {
        const Stored* const x = input + start;
        Stored* const y = output + start;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i)
            y[i] = narrow<Stored>(activate<ACTIVATION, Stored>((widen(x[i]) - mean[i]) * scale[i] + shift[i]));
    });
}

// Sum g and g * (input - mean) of each column; write the gradient of the input in evaluation, and g in training if it
// is costly.
template <typename Stored, int ACTIVATION>
void sums_of_columns(const Stored* grad_output, const Stored* input, const Layout& at,
                     const Affine<WideOf<Stored>>& by, bool training, Stored* grad_input, WideOf<Stored>* sums,
                     WideOf<Stored>* projections, int threads) {
    using Wide = WideOf<Stored>;
    const std::int64_t rows = at.rows(), columns = at.columns(), rest = at.rest();
    const Wide *mean = by.mean.data(), *scale = by.scale.data(), *shift = by.shift.data();
    const auto add_row = [=](std::int64_t start, std::int64_t width, Wide* g, Wide* sum, Wide* along) {
        const Stored* const x = input + start;
        const Stored* const dy = grad_output + start;
        Stored* const dx = grad_input + start;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) {
            const Wide centred = widen(x[i]) - mean[i];
            const Wide through = widen(dy[i]) * slope<ACTIVATION, Stored>(centred * scale[i] + shift[i]);
            g[i] = through;
            sum[i] += through;
            along[i] += through * centred;
        }
        if (training && COSTLY<ACTIVATION>) {
#pragma omp simd
            for (std::int64_t i = 0; i < width; ++i) dx[i] = narrow<Stored>(g[i]);
        } else if (!training) {
#pragma omp simd
            for (std::int64_t i = 0; i < width; ++i) dx[i] = narrow<Stored>(g[i] * scale[i]);
        }
    };
    Array<Wide> partial(2 * columns * threads, 0), buffers(3 * columns * threads, 0);
#pragma omp parallel num_threads(threads)
    {
        const Share share(rows);
        const int thread = omp_get_thread_num();
        Wide* const whole = partial.data() + 2 * columns * thread;
        Wide* const sum = buffers.data() + 3 * columns * thread;
        Wide* const along = sum + columns;
        Wide* const g = along + columns;
        for (std::int64_t row = share.first; row < share.end; ++row) {
            add_row(row * columns, columns, g, sum, along);
            if ((row + 1 - share.first) % BLOCK == 0 || row + 1 == share.end) move_sums(sum, whole, 2 * columns);
        }
    }
    add_threads(partial, 2 * columns, threads);
    if (rest > 0) add_row(rows * columns, rest, buffers.data(), partial.data(), partial.data() + columns);
    std::copy_n(partial.data(), columns, sums);
    std::copy_n(partial.data() + columns, columns, projections);
}

// Write scale * (g - average - (input - mean) * slant).
template <typename Stored, int ACTIVATION>
void gradient_of_columns(const Stored* grad_output, const Stored* input, const Layout& at,
                         const Affine<WideOf<Stored>>& by, const WideOf<Stored>* average, const WideOf<Stored>* slant,
                         Stored* grad_input, int threads) {
    using Wide = WideOf<Stored>;
    const Wide *mean = by.mean.data(), *scale = by.scale.data(), *shift = by.shift.data();
    for_rows(at, threads, [=](std::int64_t start, std::int64_t width) {
        const Stored* const x = input + start;
        Stored* const dx = grad_input + start;
        const Stored* const given = COSTLY<ACTIVATION> ? dx : grad_output + start;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) {
            const Wide centred = widen(x[i]) - mean[i];
            const Wide open = COSTLY<ACTIVATION> ? Wide(1) : slope<ACTIVATION, Stored>(centred * scale[i] + shift[i]);
            dx[i] = narrow<Stored>(scale[i] * (widen(given[i]) * open - average[i] - centred * slant[i]));
        }
    });
}
