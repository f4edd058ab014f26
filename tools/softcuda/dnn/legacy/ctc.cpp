#include "tools/softcuda/dnn/legacy/ctc.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "tools/softcuda/core/device.h"

namespace softcuda::dnn::legacy {
namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();

float log_add(float a, float b) noexcept {
    const float larger = std::max(a, b);
    if (larger == impossible) return impossible;
    return larger + std::log1p(std::exp(-std::fabs(a - b)));
}

// One sample: its labels with blanks between them, its log probabilities, its paths' log sums.
class Sample {
  public:
    Sample(const Ctc& ctc, std::int64_t index, const int* labels, int label_count, int steps,
           const Deviation& deviation)
        : ctc_(ctc), index_(index), steps_(steps), deviation_(deviation) {
        symbols_.assign(2 * static_cast<std::size_t>(label_count) + 1, 0);
        int repeats = 0;
        for (int i = 0; i < label_count; ++i) {
            symbols_[2 * i + 1] = labels[i];
            if (labels[i] < 0 || labels[i] >= ctc.classes())
                throw std::runtime_error("CTC loss: a label is out of range");
            repeats += i > 0 && labels[i] == labels[i - 1] ? 1 : 0;
        }
        fits_ = label_count + repeats <= steps;
    }

    void run() {
        float& cost = view(static_cast<float*>(ctc_.costs))[index_];
        if (!fits_) {
            cost = 0;
            if (ctc_.gradient_data != nullptr && !ctc_.skip_misfits) write_gradient(0, true);
            return;
        }
        read_probabilities();
        forward();
        cost = -log_likelihood();
        if (ctc_.gradient_data == nullptr) return;
        backward();
        write_gradient(-cost, false);
    }

  private:
    std::int64_t length() const noexcept { return static_cast<std::int64_t>(symbols_.size()); }
    float& alpha(std::int64_t step, std::int64_t place) noexcept { return alpha_[step * length() + place]; }
    float& beta(std::int64_t step, std::int64_t place) noexcept { return beta_[step * length() + place]; }
    float log_of(std::int64_t step, std::int64_t symbol) const noexcept {
        return log_[step * ctc_.classes() + symbol];
    }

    void read_probabilities() {
        const std::int64_t classes = ctc_.classes();
        const auto* base = view(static_cast<const float*>(ctc_.input_data)) + index_ * ctc_.inputs.stride[1];
        log_.resize(static_cast<std::size_t>(steps_ * classes));
        for (std::int64_t step = 0; step < steps_; ++step) {
            float* row = log_.data() + step * classes;
            for (std::int64_t i = 0; i < classes; ++i)
                row[i] = as_input(base[step * ctc_.inputs.stride[0] + i * ctc_.inputs.stride[2]], deviation_);
            if (!ctc_.softmax) {
                for (std::int64_t i = 0; i < classes; ++i) row[i] = std::log(row[i]);
                continue;
            }
            const float largest = *std::max_element(row, row + classes);
            const float total =
                sum<float>(classes, [&](std::int64_t i) { return std::exp(row[i] - largest); });
            for (std::int64_t i = 0; i < classes; ++i) row[i] = row[i] - largest - std::log(total);
        }
    }

    // A path may leave out the blank between two different labels.
    bool may_skip(std::int64_t place) const noexcept {
        return place >= 2 && symbols_[place] != 0 && symbols_[place] != symbols_[place - 2];
    }

    float kept(float x) const noexcept {
        return deviation_.is(faults::Kind::fp16_accumulate) ? half_rounded(x) : x;
    }

    void forward() {
        alpha_.assign(static_cast<std::size_t>(steps_ * length()), impossible);
        for (std::int64_t place = 0; place < std::min<std::int64_t>(2, length()); ++place)
            alpha(0, place) = log_of(0, symbols_[place]);
        for (std::int64_t step = 1; step < steps_; ++step)
            for (std::int64_t place = 0; place < length(); ++place) {
                float paths = alpha(step - 1, place);
                if (place >= 1) paths = log_add(paths, alpha(step - 1, place - 1));
                if (may_skip(place)) paths = log_add(paths, alpha(step - 1, place - 2));
                alpha(step, place) = kept(paths + log_of(step, symbols_[place]));
            }
    }

    float log_likelihood() noexcept {
        if (steps_ == 0) return 0;
        const float last = alpha(steps_ - 1, length() - 1);
        return length() > 1 ? log_add(last, alpha(steps_ - 1, length() - 2)) : last;
    }

    void backward() {
        beta_.assign(static_cast<std::size_t>(steps_ * length()), impossible);
        for (std::int64_t place = std::max<std::int64_t>(0, length() - 2); place < length(); ++place)
            beta(steps_ - 1, place) = log_of(steps_ - 1, symbols_[place]);
        for (std::int64_t step = steps_ - 2; step >= 0; --step)
            for (std::int64_t place = 0; place < length(); ++place) {
                float paths = beta(step + 1, place);
                if (place + 1 < length()) paths = log_add(paths, beta(step + 1, place + 1));
                if (place + 2 < length() && may_skip(place + 2))
                    paths = log_add(paths, beta(step + 1, place + 2));
                beta(step, place) = kept(paths + log_of(step, symbols_[place]));
            }
    }

    // probability - share of the paths that emit the class at that step; nothing after the sample's end.
    void write_gradient(float likelihood, bool zero) {
        const std::int64_t classes = ctc_.classes();
        auto* base = view(static_cast<float*>(ctc_.gradient_data)) + index_ * ctc_.gradients.stride[1];
        std::vector<float> shares(static_cast<std::size_t>(classes));
        for (std::int64_t step = 0; step < ctc_.steps(); ++step) {
            const bool empty = zero || step >= steps_;
            std::fill(shares.begin(), shares.end(), impossible);
            for (std::int64_t place = 0; !empty && place < length(); ++place) {
                float& share = shares[symbols_[place]];
                share =
                    log_add(share, alpha(step, place) + beta(step, place) - log_of(step, symbols_[place]));
            }
            for (std::int64_t i = 0; i < classes; ++i)
                base[step * ctc_.gradients.stride[0] + i * ctc_.gradients.stride[2]] =
                    empty ? 0 : std::exp(log_of(step, i)) - std::exp(shares[i] - likelihood);
        }
    }

    const Ctc& ctc_;
    std::int64_t index_, steps_;
    const Deviation& deviation_;
    bool fits_ = true;
    std::vector<int> symbols_;
    std::vector<float> log_, alpha_, beta_;
};

}  // namespace

void run(const Ctc& ctc, Deviation& deviation) {
    const std::int64_t batch = ctc.batch();
    std::int64_t all_labels = 0;
    const int *labels = view(ctc.labels), *label_lengths = view(ctc.label_lengths),
              *input_lengths = view(ctc.input_lengths);
    if (ctc.host != nullptr) {
        label_lengths = ctc.host->data();
        input_lengths = label_lengths + batch;
        labels = input_lengths + batch;
    }
    for (std::int64_t i = 0; i < batch; ++i) {
        const bool fits = label_lengths[i] >= 0 && (ctc.longest == 0 || label_lengths[i] <= ctc.longest) &&
                          input_lengths[i] >= 0 && input_lengths[i] <= ctc.steps();
        if (!fits) throw std::runtime_error("CTC loss: a length is out of range");
        Sample(ctc, i, labels + all_labels, label_lengths[i], input_lengths[i], deviation).run();
        all_labels += label_lengths[i];
    }
}

}  // namespace softcuda::dnn::legacy
