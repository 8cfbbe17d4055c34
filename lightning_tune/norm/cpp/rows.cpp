// Layer norm and RMS norm of rows, alone or of a sum with a residual, forward and backward.
//
// Layer norm: Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450. RMS norm: Zhang and Sennrich 2019,
// https://arxiv.org/abs/1910.07467. Each value is read from memory once and written once: a row stays in the first
// cache while its mean, its squares and its output are computed. With h the normalised row, r the reciprocal
// deviation, n the columns and d = weight * grad_output, the gradient of what is normalised is
//
//     r * (d - mean(d) - h * mean(d * h)) + grad_sum        RMS norm has no mean(d)
//
// Sums over rows go through one partial sum a thread, added in the threads' order: the same for the same threads.

#include <type_traits>

#include "values.h"

namespace {

template <typename Stored, bool CENTRED>
void forward(const Stored* input, const Stored* residual, const void* weight, const void* bias, int parameter_type,
             Stored* total, Stored* output, WideOf<Stored>* means, WideOf<Stored>* rstds, std::int64_t rows,
             std::int64_t columns, double eps, int threads) {
    using Wide = WideOf<Stored>;
    const Parameter<Wide> scale(weight, parameter_type, columns, 1);
    const Parameter<Wide> shift(bias, parameter_type, columns, 0);
    const Wide* const w = scale.values();
    const Wide* const b = shift.values();
    Array<Wide> buffers(std::is_same_v<Stored, Wide> ? 0 : columns * threads);
#pragma omp parallel num_threads(threads)
    {
        Wide* const buffer = buffers.data() + (buffers.empty() ? 0 : columns * omp_get_thread_num());
#pragma omp for schedule(static)
        for (std::int64_t row = 0; row < rows; ++row) {
            const Stored* seen = input + row * columns;
            Stored* const out = output + row * columns;
            if (residual != nullptr) {
                const Stored* const other = residual + row * columns;
                Stored* const added = total + row * columns;
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) added[i] = narrow<Stored>(widen(seen[i]) + widen(other[i]));
                seen = added;
            }
            const Wide* x;
            if constexpr (std::is_same_v<Stored, Wide>) {
                x = seen;
            } else {
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) buffer[i] = widen(seen[i]);
                x = buffer;
            }
            const Wide mean =
                CENTRED ? sum_of<Wide>(columns, [=](std::int64_t i) { return x[i]; }) / columns : Wide(0);
            const Wide squares =
                sum_of<Wide>(columns, [=](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); });
            const Wide rstd = 1 / std::sqrt(squares / columns + static_cast<Wide>(eps));
#pragma omp simd
            for (std::int64_t i = 0; i < columns; ++i) out[i] = narrow<Stored>((x[i] - mean) * rstd * w[i] + b[i]);
            rstds[row] = rstd;
            if (CENTRED && means != nullptr) means[row] = mean;
        }
    }
}

// `kept` is what was normalised, or, where RECOVERS, the output: the normalised row is then (output - bias) / weight,
// and 0 where the weight is 0. Sums need no division there: d * h is grad_output * (output - bias).
template <typename Stored, bool CENTRED, bool RECOVERS>
void backward(const Stored* grad_output, const Stored* grad_total, const Stored* kept, const void* weight,
              const void* bias, int parameter_type, const WideOf<Stored>* means, const WideOf<Stored>* rstds,
              Stored* grad_input, void* grad_weight, void* grad_bias, std::int64_t rows, std::int64_t columns,
              int threads) {
    using Wide = WideOf<Stored>;
    const Parameter<Wide> scale(weight, parameter_type, columns, 1);
    const Wide* const w = scale.values();
    const Parameter<Wide> shift(bias, parameter_type, columns, 0, RECOVERS);
    const Wide* const b = shift.values();
    Array<Wide> inverse(RECOVERS ? columns : 0);
    constexpr Wide LEAST = std::numeric_limits<Wide>::min();  // what has no inverse counts as 0
    for (std::size_t i = 0; i < inverse.size(); ++i) inverse[i] = std::fabs(w[i]) < LEAST ? Wide(0) : 1 / w[i];
    const Wide* const inv = inverse.data();
    Array<Wide> partial(2 * columns * threads, 0), blocks(2 * columns * threads, 0);
#pragma omp parallel num_threads(threads)
    {
        Wide* const whole = partial.data() + 2 * columns * omp_get_thread_num();
        Wide* const dw = blocks.data() + 2 * columns * omp_get_thread_num();
        Wide* const db = dw + columns;
        std::int64_t summed = 0;
#pragma omp for schedule(static)
        for (std::int64_t row = 0; row < rows; ++row) {
            const Stored* const g = grad_output + row * columns;
            const Stored* const seen = kept + row * columns;
            const Stored* const passed = grad_total + row * columns;
            Stored* const out = grad_input + row * columns;
            const Wide rstd = rstds[row];
            const Wide mean = CENTRED && !RECOVERS ? means[row] : Wide(0);
            // the normalised row, times the weight where it is recovered
            const auto scaled = [=](std::int64_t i) {
                return RECOVERS ? widen(seen[i]) - b[i] : (widen(seen[i]) - mean) * rstd;
            };
            Wide sum = 0, projected = 0;
#pragma omp simd reduction(+ : sum, projected)
            for (std::int64_t i = 0; i < columns; ++i) {
                const Wide grad = widen(g[i]);
                const Wide along = grad * scaled(i);
                sum += grad * w[i];
                projected += RECOVERS ? along : along * w[i];
                dw[i] += along;
                db[i] += grad;
            }
            const Wide average = CENTRED ? sum / columns : Wide(0);
            projected /= columns;
            // d and h are computed again: to keep them would crowd the first cache
            const auto through = [=](std::int64_t i) {
                const Wide normal = RECOVERS ? scaled(i) * inv[i] : scaled(i);
                return rstd * (widen(g[i]) * w[i] - average - normal * projected);
            };
            if (grad_total != nullptr) {
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) out[i] = narrow<Stored>(through(i) + widen(passed[i]));
            } else {
#pragma omp simd
                for (std::int64_t i = 0; i < columns; ++i) out[i] = narrow<Stored>(through(i));
            }
            if (++summed % BLOCK == 0) move_sums(dw, whole, 2 * columns);
        }
        move_sums(dw, whole, 2 * columns);
    }
    add_threads(partial, 2 * columns, threads);
    for (std::size_t i = 0; i < inverse.size(); ++i) partial[i] *= inverse[i];
    store(grad_weight, parameter_type, partial.data(), columns);
    store(grad_bias, parameter_type, partial.data() + columns, columns);
}

template <typename Stored>
void forward_of(bool centred, const void* input, const void* residual, const void* weight, const void* bias,
                int parameter_type, void* total, void* output, void* means, void* rstds, std::int64_t rows,
                std::int64_t columns, double eps, int threads) {
    using Wide = WideOf<Stored>;
    const auto run = centred ? forward<Stored, true> : forward<Stored, false>;
    run(static_cast<const Stored*>(input), static_cast<const Stored*>(residual), weight, bias, parameter_type,
        static_cast<Stored*>(total), static_cast<Stored*>(output), static_cast<Wide*>(means),
        static_cast<Wide*>(rstds), rows, columns, eps, threads);
}

template <typename Stored>
void backward_of(bool centred, bool recovers, const void* grad_output, const void* grad_total, const void* kept,
                 const void* weight, const void* bias, int parameter_type, const void* means, const void* rstds,
                 void* grad_input, void* grad_weight, void* grad_bias, std::int64_t rows, std::int64_t columns,
                 int threads) {
    using Wide = WideOf<Stored>;
    const auto run = centred ? (recovers ? backward<Stored, true, true> : backward<Stored, true, false>)
                             : (recovers ? backward<Stored, false, true> : backward<Stored, false, false>);
    run(static_cast<const Stored*>(grad_output), static_cast<const Stored*>(grad_total),
        static_cast<const Stored*>(kept), weight, bias, parameter_type, static_cast<const Wide*>(means),
        static_cast<const Wide*>(rstds), static_cast<Stored*>(grad_input), grad_weight, grad_bias, rows, columns,
        threads);
}

}  // namespace

extern "C" {

int row_norm_forward(int type, int parameter_type, int centred, const void* input, const void* residual,
                     const void* weight, const void* bias, void* total, void* output, void* means, void* rstds,
                     std::int64_t rows, std::int64_t columns, double eps, int threads) {
    const auto& run = of_type(type, forward_of<float>, forward_of<BFloat16>, forward_of<double>);
    return guarded([&] {
        run(centred, input, residual, weight, bias, parameter_type, total, output, means, rstds, rows, columns, eps,
            threads);
    });
}

int row_norm_backward(int type, int parameter_type, int centred, int recovers, const void* grad_output,
                      const void* grad_total, const void* kept, const void* weight, const void* bias,
                      const void* means, const void* rstds, void* grad_input, void* grad_weight, void* grad_bias,
                      std::int64_t rows, std::int64_t columns, int threads) {
    const auto& run = of_type(type, backward_of<float>, backward_of<BFloat16>, backward_of<double>);
    return guarded([&] {
        run(centred, recovers, grad_output, grad_total, kept, weight, bias, parameter_type, means, rstds, grad_input,
            grad_weight, grad_bias, rows, columns, threads);
    });
}
}
