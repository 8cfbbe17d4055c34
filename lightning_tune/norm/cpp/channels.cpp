// Batch norm and an activation after it, forward and backward.
//
// Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Mean and squared deviations of a piece that is in the
// cache are merged by the formula of Chan, Golub and LeVeque (1983), so that memory is read once; all is less the
// channel's first value, so that a large mean costs no digits. What the activation saw is computed again in the
// backward pass (Rota Bulò, Porzi and Kontschieder 2018, https://arxiv.org/abs/1712.02616), so that the input alone is
// kept. With z = scale * (input - mean) + bias, scale = weight * rstd, m the values a channel, h = (input - mean) *
// rstd and g = grad_output * activation'(z):
//
//     grad_input = scale * (g - sum(g) / m - h * sum(g * h) / m)         scale * g in evaluation
//
// Sums over samples go through one partial sum a thread, added in the threads' order: the same for the same threads.

#include <array>

#include "columns.h"
#include "planes.h"

namespace {

// Running statistics; they are updated with the unbiased variance, as torch's are.
template <typename Wide>
struct Running {
    void *mean, *variance;
    int type;
    double momentum;

    void update(const Array<Wide>& means, const Array<Wide>& variances, std::int64_t count) const {
        if (mean == nullptr || count == 0) return;
        blend(mean, means, 1);
        blend(variance, variances, static_cast<Wide>(count) / static_cast<Wide>(count - 1));
    }
    void blend(void* running, const Array<Wide>& batch, Wide factor) const {
        const auto size = static_cast<std::int64_t>(batch.size());
        const Parameter<Wide> old(running, type, size, 0);
        const Wide share = static_cast<Wide>(momentum);
        Array<Wide> mixed(size);
        for (std::int64_t i = 0; i < size; ++i)
            mixed[i] = (1 - share) * old.values()[i] + share * (batch[i] * factor);
        store(running, type, mixed.data(), size);
    }
};

// Mean and variance of each channel from those of its columns.
template <typename Stored>
void statistics(const Stored* input, const Layout& at, Array<WideOf<Stored>>& means,
                Array<WideOf<Stored>>& variances, int threads) {
    using Wide = WideOf<Stored>;
    const std::int64_t columns = at.columns(), rows = at.rows(), rest = at.rest();
    Array<Wide> pivot(columns, 0), mean(columns), squares(columns);
    if (at.count() > 0)
        for (std::int64_t i = 0; i < columns; ++i)
            pivot[i] = widen(input[at.channel_of(i) * at.repeat]);  // of the channel's first value
    moments_of_columns(input, at, pivot.data(), mean.data(), squares.data(), threads);
    for (std::int64_t i = 0; i < rest; ++i)
        merge<Wide>(rows, mean[i], squares[i], 1, widen(input[rows * columns + i]) - pivot[i], 0);
    Array<Wide> seen(at.channels, 0), deviations(at.channels, 0);
    std::fill(means.begin(), means.end(), Wide(0));
    for (std::int64_t i = 0; i < columns; ++i) {
        const std::int64_t channel = at.channel_of(i), count = rows + (i < rest);
        if (count == 0) continue;
        merge<Wide>(seen[channel], means[channel], deviations[channel], count, mean[i], squares[i]);
        seen[channel] += count;
    }
    for (std::int64_t channel = 0; channel < at.channels; ++channel) {
        if (at.count() > 0) means[channel] += pivot[channel * at.repeat];
        variances[channel] = deviations[channel] / std::max<std::int64_t>(1, at.count());
    }
}

template <typename Stored, int ACTIVATION>
void forward(const void* input_, const void* weight_, const void* bias_, int parameter_type, void* running_mean,
             void* running_variance, void* output_, void* means_, void* rstds_, bool training, const Layout& at,
             double momentum, double eps_, int threads) {
    using Wide = WideOf<Stored>;
    const auto* const input = static_cast<const Stored*>(input_);
    auto* const output = static_cast<Stored*>(output_);
    const Wide eps = static_cast<Wide>(eps_);
    const Parameter<Wide> weight(weight_, parameter_type, at.channels, 1);
    const Parameter<Wide> bias(bias_, parameter_type, at.channels, 0);
    Array<Wide> variances(at.channels), rstds(at.channels);
    Affine<Wide> by(at.channels);
    const auto settle = [&](std::int64_t channel) {
        rstds[channel] = 1 / std::sqrt(variances[channel] + eps);
        by.scale[channel] = rstds[channel] * weight.values()[channel];
        by.shift[channel] = bias.values()[channel];
    };
    const bool in_one = training && at.planes;  // a plane is normalised while it is in the cache
    if (!training) {
        const Parameter<Wide> mean(running_mean, parameter_type, at.channels, 0);
        const Parameter<Wide> variance(running_variance, parameter_type, at.channels, 1);
        std::copy_n(mean.values(), at.channels, by.mean.begin());
        std::copy_n(variance.values(), at.channels, variances.begin());
    } else if (!in_one) {
        statistics(input, at, by.mean, variances, threads);
    }
    if (!in_one)
        for (std::int64_t channel = 0; channel < at.channels; ++channel) settle(channel);
    if (in_one) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (std::int64_t channel = 0; channel < at.channels; ++channel) {
            Wide squares;
            moments_of_channel(input, at, channel, by.mean[channel], squares);
            variances[channel] = squares / std::max<std::int64_t>(1, at.count());
            settle(channel);
            for (std::int64_t sample = 0; sample < at.samples; ++sample)
                apply_to_plane<Stored, ACTIVATION>(input, at, sample, channel, by, output);
        }
    } else if (at.planes) {
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
        for (std::int64_t sample = 0; sample < at.samples; ++sample)
            for (std::int64_t channel = 0; channel < at.channels; ++channel)
                apply_to_plane<Stored, ACTIVATION>(input, at, sample, channel, by, output);
    } else {
        apply_to_columns<Stored, ACTIVATION>(input, at, by.of_columns(at), output, threads);
    }
    if (training)
        Running<Wide>{running_mean, running_variance, parameter_type, momentum}.update(by.mean, variances, at.count());
    std::copy(by.mean.begin(), by.mean.end(), static_cast<Wide*>(means_));
    std::copy(rstds.begin(), rstds.end(), static_cast<Wide*>(rstds_));
}

template <typename Stored, int ACTIVATION>
void backward_of_all_columns(const Stored* grad_output, const Stored* input, const Layout& at,
                             const Affine<WideOf<Stored>>& channels, const WideOf<Stored>* rstds, bool training,
                             Stored* grad_input, Array<WideOf<Stored>>& sums,
                             Array<WideOf<Stored>>& projections, int threads) {
    using Wide = WideOf<Stored>;
    const Affine<Wide> by = channels.of_columns(at);
    Array<Wide> average(at.columns()), slant(at.columns());
    sums_of_columns<Stored, ACTIVATION>(grad_output, input, at, by, training, grad_input, average.data(),
                                        slant.data(), threads);
    for (std::int64_t i = 0; i < at.columns(); ++i) {
        sums[at.channel_of(i)] += average[i];
        projections[at.channel_of(i)] += slant[i];
    }
    if (!training) return;
    for (std::int64_t i = 0; i < at.columns(); ++i) {
        const std::int64_t channel = at.channel_of(i);
        average[i] = sums[channel] / at.count();
        slant[i] = projections[channel] / at.count() * rstds[channel] * rstds[channel];
    }
    gradient_of_columns<Stored, ACTIVATION>(grad_output, input, at, by, average.data(), slant.data(), grad_input,
                                            threads);
}

template <typename Stored, int ACTIVATION>
void backward(const void* grad_output_, const void* input_, const void* weight_, const void* bias_, int parameter_type,
              const void* means_, const void* rstds_, void* grad_input_, void* grad_weight, void* grad_bias,
              bool training, const Layout& at, int threads) {
    using Wide = WideOf<Stored>;
    const auto* const grad_output = static_cast<const Stored*>(grad_output_);
    const auto* const input = static_cast<const Stored*>(input_);
    auto* const grad_input = static_cast<Stored*>(grad_input_);
    const auto* const rstds = static_cast<const Wide*>(rstds_);
    const Parameter<Wide> weight(weight_, parameter_type, at.channels, 1);
    const Parameter<Wide> bias(bias_, parameter_type, at.channels, 0);
    Affine<Wide> by(at.channels);
    std::copy_n(static_cast<const Wide*>(means_), at.channels, by.mean.begin());
    std::copy_n(bias.values(), at.channels, by.shift.begin());
    for (std::int64_t i = 0; i < at.channels; ++i) by.scale[i] = rstds[i] * weight.values()[i];
    Array<Wide> sums(at.channels, 0), projections(at.channels, 0);
    if (at.planes) {
        Array<Wide> pieces(PIECE * threads);
#pragma omp parallel for schedule(static) num_threads(threads)
        for (std::int64_t channel = 0; channel < at.channels; ++channel)
            backward_of_channel<Stored, ACTIVATION>(grad_output, input, at, channel, by, rstds[channel], training,
                                                    grad_input, sums[channel], projections[channel],
                                                    pieces.data() + PIECE * omp_get_thread_num());
    } else {
        backward_of_all_columns<Stored, ACTIVATION>(grad_output, input, at, by, rstds, training, grad_input, sums,
                                                    projections, threads);
    }
    for (std::int64_t i = 0; i < at.channels; ++i) projections[i] *= rstds[i];
    store(grad_weight, parameter_type, projections.data(), at.channels);
    store(grad_bias, parameter_type, sums.data(), at.channels);
}

// By activation.
template <typename Stored>
constexpr std::array FORWARD{forward<Stored, NONE>, forward<Stored, RELU>, forward<Stored, SILU>,
                             forward<Stored, GELU>};
template <typename Stored>
constexpr std::array BACKWARD{backward<Stored, NONE>, backward<Stored, RELU>, backward<Stored, SILU>,
                              backward<Stored, GELU>};

}  // namespace

extern "C" {

int batch_norm_act_forward(int type, int parameter_type, int activation, int training, int channels_last,
                           const void* input, const void* weight, const void* bias, void* running_mean,
                           void* running_variance, void* output, void* means, void* rstds, std::int64_t samples,
                           std::int64_t channels, std::int64_t positions, double momentum, double eps, int threads) {
    const auto& by_activation = of_type(type, FORWARD<float>, FORWARD<BFloat16>, FORWARD<double>);
    return guarded([&] {
        by_activation[activation](input, weight, bias, parameter_type, running_mean, running_variance, output, means,
                                  rstds, training, Layout(type, samples, channels, positions, channels_last), momentum,
                                  eps, threads);
    });
}

int batch_norm_act_backward(int type, int parameter_type, int activation, int training, int channels_last,
                            const void* grad_output, const void* input, const void* weight, const void* bias,
                            const void* means, const void* rstds, void* grad_input, void* grad_weight,
                            void* grad_bias, std::int64_t samples, std::int64_t channels, std::int64_t positions,
                            int threads) {
    const auto& by_activation = of_type(type, BACKWARD<float>, BACKWARD<BFloat16>, BACKWARD<double>);
    return guarded([&] {
        by_activation[activation](grad_output, input, weight, bias, parameter_type, means, rstds, grad_input,
                                  grad_weight, grad_bias, training,
                                  Layout(type, samples, channels, positions, channels_last), threads);
    });
}
}
