#include <algorithm>
#include <cmath>

#include "tools/softcuda/dnn/legacy/rnn_parts.h"

namespace softcuda::dnn::legacy {
namespace {

template <class E, class T>
class DataBackward {
  public:
    DataBackward(const DataPass& pass, Deviation& deviation)
        : pass_(pass),
          net_(pass.net),
          deviation_(deviation),
          packing_(pack(pass.x_sequences)),
          space_(weight_space(net_)),
          kept_(reserve_space(net_, packing_.rows)),
          weights_(static_cast<const E*>(view(pass.weights))),
          reserve_(host_view(pass.reserve)) {}

    void run() {
        Buffer<T> gradient = widen(gather<E>(pass_.dy, net_.width(), packing_));
        for (int layer = net_.layers - 1; layer >= 0; --layer) {
            Buffer<T> below(packing_.rows * net_.input_of(layer));
            std::fill(below.begin(), below.end(), T{});
            for (int direction = 0; direction < net_.directions; ++direction) {
                run_direction(layer, direction, gradient);
                add_input_gradient(layer, direction, below);
            }
            if (layer > 0 && net_.drops()) leave_layer(layer, below);
            gradient = std::move(below);
        }
        if (pass_.dx == nullptr) return;
        Buffer<E> dx(gradient.size());
        for (std::int64_t i = 0; i < dx.size(); ++i) dx[i] = blas::store<E>(gradient[i]);
        scatter(dx.data(), pass_.dx, net_.input, packing_);
        fill_padding(pass_.dx, pass_.x_sequences, E{});
    }

  private:
    // One direction of a layer at one step, for the places that are active there.
    struct Cells {
        bool backwards = false;
        std::int64_t step = 0, active = 0, first = 0;
        const T *gates, *cells;
        const E *outputs, *h0;
        const T* c0;
        T *dh, *dc;  // of each place: gradients of the state after the step, then of the state before
        E *input_gradient, *recurrent_gradient, *output_gradient;  // of all rows
    };

    static Buffer<T> widen(const Buffer<E>& values) {
        Buffer<T> result(values.size());
        for (std::int64_t i = 0; i < values.size(); ++i) result[i] = blas::widened<T>(values[i]);
        return result;
    }

    void leave_layer(int layer, Buffer<T>& gradient) {
        const auto* mask = at<const unsigned char>(reserve_, kept_.masks[layer]);
        const float probability = net_.dropout.probability;
        const T scale = probability < 1 ? 1 / (1 - static_cast<T>(probability)) : T{};
        for (std::int64_t i = 0; i < gradient.size(); ++i)
            gradient[i] = mask[i] != 0 ? gradient[i] * scale : T{};
    }

    // below += dG W
    void add_input_gradient(int layer, int direction, Buffer<T>& below) {
        const int pseudo = layer * net_.directions + direction;
        const std::int64_t width = net_.input_of(layer), rows = net_.rows();
        const E* gates = at<E>(reserve_, kept_.of[pseudo].input_gradient);
        if (space_.of[pseudo].w < 0) {
            for (std::int64_t i = 0; i < packing_.rows * rows; ++i)
                below[i / rows * width + i % rows % net_.hidden] += blas::widened<T>(gates[i]);
            return;
        }
        Buffer<T> part(below.size());
        multiply<T>(net_, {packing_.rows, width, rows}, by_rows(gates, net_.type, rows),
                    by_rows(weights_ + space_.of[pseudo].w, net_.type, width), part.data(), deviation_,
                    pseudo == 0);
        for (std::int64_t i = 0; i < part.size(); ++i) below[i] += part[i];
    }

    void run_direction(int layer, int direction, const Buffer<T>& gradient) {
        const int pseudo = layer * net_.directions + direction;
        const Kept& kept = kept_.of[pseudo];
        const std::int64_t hidden = net_.hidden, output = net_.output();
        Buffer<T> dh(packing_.batch() * output), dc(packing_.batch() * hidden), c0(packing_.batch() * hidden);
        Buffer<E> h0(packing_.batch() * output);
        const bool lstm = net_.cell == CUDNN_LSTM;
        load_state<E>(pass_.dhy, pseudo, output, packing_, dh.data());
        load_state<E>(lstm ? pass_.dcy : nullptr, pseudo, hidden, packing_, dc.data());
        load_state<E>(pass_.hx, pseudo, output, packing_, h0.data());
        load_state<E>(lstm ? pass_.cx : nullptr, pseudo, hidden, packing_, c0.data());
        Cells cells;
        cells.backwards = direction == 1;
        cells.gates = at<T>(reserve_, kept.gates);
        cells.cells = at<T>(reserve_, kept.cells);
        cells.outputs = at<E>(reserve_, kept.outputs);
        cells.h0 = h0.data();
        cells.c0 = c0.data();
        cells.dh = dh.data();
        cells.dc = dc.data();
        cells.input_gradient = at<E>(reserve_, kept.input_gradient);
        cells.recurrent_gradient = at<E>(reserve_, kept.recurrent_gradient);
        cells.output_gradient = at<E>(reserve_, kept.output_gradient);
        for (std::int64_t i = 0; i < packing_.steps(); ++i) {
            cells.step = cells.backwards ? i : packing_.steps() - 1 - i;
            cells.active = packing_.active[cells.step];
            cells.first = packing_.first[cells.step];
            for (std::int64_t place = 0; place < cells.active; ++place)
                for (std::int64_t j = 0; j < output; ++j)
                    dh[place * output + j] +=
                        gradient[(cells.first + place) * net_.width() + direction * output + j];
            take_step(cells, space_.of[pseudo]);
        }
        store_state<E>(pass_.dhx, pseudo, output, packing_, dh.data());
        if (lstm) store_state<E>(pass_.dcx, pseudo, hidden, packing_, dc.data());
    }

    // dh becomes the gradient of the h before: direct part + dG R.
    void take_step(Cells& cells, const Weights& weights) {
        const std::int64_t output = net_.output(), rows = net_.rows();
        Buffer<T> direct(cells.active * output), through(cells.active * output);
        std::fill(direct.begin(), direct.end(), T{});
        if (net_.cell == CUDNN_LSTM)
            lstm(cells, weights);
        else if (net_.cell == CUDNN_GRU)
            gru(cells, direct.data());
        else
            simple(cells);
        multiply<T>(net_, {cells.active, output, rows},
                    by_rows(cells.recurrent_gradient + cells.first * rows, net_.type, rows),
                    by_rows(weights_ + weights.r, net_.type, output), through.data(), deviation_);
        for (std::int64_t i = 0; i < direct.size(); ++i) cells.dh[i] = direct[i] + through[i];
    }

    void simple(const Cells& cells) {
        const std::int64_t hidden = net_.hidden;
        for (std::int64_t i = 0; i < cells.active * hidden; ++i) {
            const T h = blas::widened<T>(cells.outputs[cells.first * hidden + i]);
            const T slope = net_.cell == CUDNN_RNN_TANH ? 1 - h * h : h > 0 ? T{1} : T{};
            cells.input_gradient[cells.first * hidden + i] = blas::store<E>(cells.dh[i] * slope);
        }
    }

    // The gradient of what the output gate lets pass: dh, or dh P.
    Buffer<T> before_projection(const Cells& cells, const Weights& weights) {
        const std::int64_t hidden = net_.hidden, output = net_.output();
        Buffer<T> dm(cells.active * hidden);
        if (weights.p < 0) {
            std::copy_n(cells.dh, dm.size(), dm.data());
            return dm;
        }
        E* const projected = cells.output_gradient + cells.first * output;
        for (std::int64_t i = 0; i < cells.active * output; ++i) projected[i] = blas::store<E>(cells.dh[i]);
        multiply<T>(net_, {cells.active, hidden, output}, by_rows(projected, net_.type, output),
                    by_rows(weights_ + weights.p, net_.type, hidden), dm.data(), deviation_);
        return dm;
    }

    void lstm(const Cells& cells, const Weights& weights) {
        const std::int64_t hidden = net_.hidden;
        const Buffer<T> dm = before_projection(cells, weights);
        for (std::int64_t place = 0; place < cells.active; ++place) {
            const std::int64_t row = cells.first + place,
                               before = row_before(packing_, cells.backwards, cells.step, place);
            const T* c_before = before < 0 ? cells.c0 + place * hidden : cells.cells + before * hidden;
            for (std::int64_t j = 0; j < hidden; ++j) {
                const T* gate = cells.gates + row * 4 * hidden + j;
                const T i = gate[0], f = gate[hidden], g = gate[2 * hidden], o = gate[3 * hidden];
                const T c = cells.cells[row * hidden + j], squashed = std::tanh(c),
                        dh = dm[place * hidden + j];
                T& dc = cells.dc[place * hidden + j];
                T inner = dc + dh * o * (1 - squashed * squashed);
                if (net_.clips && (c == static_cast<T>(net_.clip_low) || c == static_cast<T>(net_.clip_high)))
                    inner = T{};
                E* out = cells.input_gradient + row * 4 * hidden + j;
                out[0] = blas::store<E>(inner * g * i * (1 - i));
                out[hidden] = blas::store<E>(inner * c_before[j] * f * (1 - f));
                out[2 * hidden] = blas::store<E>(inner * i * (1 - g * g));
                out[3 * hidden] = blas::store<E>(dh * squashed * o * (1 - o));
                dc = inner * f;
            }
        }
    }

    void gru(const Cells& cells, T* direct) {
        const std::int64_t hidden = net_.hidden;
        for (std::int64_t place = 0; place < cells.active; ++place) {
            const std::int64_t row = cells.first + place,
                               before = row_before(packing_, cells.backwards, cells.step, place);
            const E* h_before = before < 0 ? cells.h0 + place * hidden : cells.outputs + before * hidden;
            for (std::int64_t j = 0; j < hidden; ++j) {
                const T* gate = cells.gates + row * 4 * hidden + j;
                const T r = gate[0], z = gate[hidden], n = gate[2 * hidden], inner = gate[3 * hidden];
                const T dh = cells.dh[place * hidden + j], dn = dh * (1 - z) * (1 - n * n);
                const E dr = blas::store<E>(dn * inner * r * (1 - r));
                const E dz = blas::store<E>(dh * (blas::widened<T>(h_before[j]) - n) * z * (1 - z));
                E *of_input = cells.input_gradient + row * 3 * hidden + j,
                  *of_recurrent = cells.recurrent_gradient + row * 3 * hidden + j;
                of_input[0] = of_recurrent[0] = dr;
                of_input[hidden] = of_recurrent[hidden] = dz;
                of_input[2 * hidden] = blas::store<E>(dn);
                of_recurrent[2 * hidden] = blas::store<E>(dn * r);
                direct[place * hidden + j] = dh * z;
            }
        }
    }

    const DataPass& pass_;
    const Net& net_;
    Deviation& deviation_;
    const Packing packing_;
    const WeightSpace space_;
    const ReserveSpace kept_;
    const E* weights_;
    void* reserve_;
};

template <class E, class T>
class WeightsBackward {
  public:
    WeightsBackward(const WeightsPass& pass, Deviation& deviation)
        : pass_(pass),
          net_(pass.net),
          deviation_(deviation),
          packing_(pack(pass.x_sequences)),
          space_(weight_space(net_)),
          kept_(reserve_space(net_, packing_.rows)),
          out_(static_cast<E*>(view(pass.dweights))),
          reserve_(host_view(pass.reserve)) {}

    void run() {
        const Buffer<E> x = gather<E>(pass_.x, net_.input, packing_);
        for (int layer = 0; layer < net_.layers; ++layer) {
            const E* input = layer == 0 ? x.data() : at<E>(reserve_, kept_.inputs[layer]);
            for (int direction = 0; direction < net_.directions; ++direction) {
                const int pseudo = layer * net_.directions + direction;
                const Weights& place = space_.of[pseudo];
                const Kept& kept = kept_.of[pseudo];
                const E *of_input = at<E>(reserve_, kept.input_gradient),
                        *of_recurrent = at<E>(reserve_, kept.recurrent_gradient);
                const Buffer<E> before = outputs_before(pseudo, direction == 1);
                if (place.w >= 0)
                    add_product(place.w, of_input, net_.rows(), input, net_.input_of(layer), pseudo == 0);
                add_product(place.r, of_recurrent, net_.rows(), before.data(), net_.output(), false);
                add_columns(place.bw, of_input);
                add_columns(place.br, of_recurrent);
                if (place.p >= 0) {
                    const Buffer<E> projected = before_projection(kept);
                    add_product(place.p, at<E>(reserve_, kept.output_gradient), net_.projection,
                                projected.data(), net_.hidden, false);
                }
            }
        }
    }

  private:
    void add(std::int64_t place, const T* values, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) {
            E& target = out_[place + i];
            target = blas::store<E>(pass_.add ? blas::widened<T>(target) + values[i] : values[i]);
        }
    }

    // += left^T right, both of all rows.
    void add_product(std::int64_t place, const E* left, std::int64_t left_width, const E* right,
                     std::int64_t right_width, bool chosen) {
        Buffer<T> sum(left_width * right_width);
        std::fill(sum.begin(), sum.end(), T{});
        multiply<T>(net_, {left_width, right_width, packing_.rows},
                    transposed(by_rows(left, net_.type, left_width)), by_rows(right, net_.type, right_width),
                    sum.data(), deviation_, chosen);
        add(place, sum.data(), sum.size());
    }

    void add_columns(std::int64_t place, const E* gradient) {
        if (place < 0) return;
        const std::int64_t width = net_.rows();
        Buffer<T> sums(width);
        std::fill(sums.begin(), sums.end(), T{});
        for (std::int64_t row = 0; row < packing_.rows; ++row)
            for (std::int64_t i = 0; i < width; ++i) sums[i] += blas::widened<T>(gradient[row * width + i]);
        add(place, sums.data(), width);
    }

    // The h that each row started from.
    Buffer<E> outputs_before(int pseudo, bool backwards) {
        const std::int64_t output = net_.output();
        Buffer<E> h0(packing_.batch() * output), result(packing_.rows * output);
        load_state<E>(pass_.hx, pseudo, output, packing_, h0.data());
        const E* outputs = at<E>(reserve_, kept_.of[pseudo].outputs);
        for (std::int64_t step = 0; step < packing_.steps(); ++step)
            for (std::int64_t place = 0; place < packing_.active[step]; ++place) {
                const std::int64_t before = row_before(packing_, backwards, step, place);
                std::copy_n(before < 0 ? h0.data() + place * output : outputs + before * output, output,
                            result.data() + (packing_.first[step] + place) * output);
            }
        return result;
    }

    // s(o) tanh(c) of all rows, as forward rounded it.
    Buffer<E> before_projection(const Kept& kept) {
        const std::int64_t hidden = net_.hidden;
        Buffer<E> result(packing_.rows * hidden);
        const T *gates = at<T>(reserve_, kept.gates), *cells = at<T>(reserve_, kept.cells);
        for (std::int64_t i = 0; i < result.size(); ++i)
            result[i] = blas::store<E>(gates[i / hidden * 4 * hidden + 3 * hidden + i % hidden] *
                                       std::tanh(cells[i]));
        return result;
    }

    const WeightsPass& pass_;
    const Net& net_;
    Deviation& deviation_;
    const Packing packing_;
    const WeightSpace space_;
    const ReserveSpace kept_;
    E* out_;
    void* reserve_;
};

}  // namespace

void run(const DataPass& pass, Deviation& deviation) {
    run_as<DataBackward>(pass, deviation);
}
void run(const WeightsPass& pass, Deviation& deviation) {
    run_as<WeightsBackward>(pass, deviation);
}

}  // namespace softcuda::dnn::legacy
