#include <algorithm>
#include <cmath>

#include "tools/softcuda/dnn/legacy/rnn_parts.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;

template <class E, class T>
class Forward {
  public:
    Forward(const ForwardPass& pass, Deviation& deviation)
        : pass_(pass),
          net_(pass.net),
          deviation_(deviation),
          packing_(pack(pass.x_sequences)),
          space_(weight_space(net_)),
          kept_(reserve_space(net_, packing_.rows)),
          weights_(static_cast<const E*>(view(pass.weights))),
          reserve_(pass.reserve == nullptr ? nullptr : host_view(pass.reserve)) {}

    void run() {
        choose_bias();
        Buffer<E> input = gather<E>(pass_.x, net_.input, packing_);
        for (int layer = 0; layer < net_.layers; ++layer) {
            if (layer > 0) enter_layer(layer, input);
            Buffer<E> result(packing_.rows * net_.width());
            for (int direction = 0; direction < net_.directions; ++direction)
                run_direction(layer, direction, input, result);
            input = std::move(result);
        }
        scatter(input.data(), pass_.y, net_.width(), packing_);
        fill_padding(pass_.y, pass_.y_sequences, blas::store<E>(static_cast<T>(pass_.y_sequences.fill)));
    }

  private:
    // One layer and direction at work.
    struct Cells {
        std::int64_t step = 0, active = 0, first = 0;
        T *input, *recurrent;  // active rows of W x + bW, R h + bR
        E* h;                  // of each place
        T* c;
        E* m;  // LSTM with projection: what is to be projected
        T *gates, *cells;
    };

    // A planted drop_bias_row takes the largest of a few biases, of the first layer.
    void choose_bias() {
        if (!deviation_.is(Kind::drop_bias_row) || space_.of[0].bw < 0) return;
        faults::Random random(*deviation_.plan);
        T best{-1};
        for (int attempt = 0; attempt < 16; ++attempt) {
            const std::int64_t row = random.below(net_.rows());
            const T size = std::abs(blas::widened<T>(weights_[space_.of[0].bw + row]));
            if (size <= best) continue;
            best = size;
            deviation_.where.row = row;
        }
    }

    // Dropout before the layer; training keeps what goes in.
    void enter_layer(int layer, Buffer<E>& input) {
        E* keep = at<E>(reserve_, kept_.inputs[layer]);
        if (keep != nullptr && net_.drops()) {
            auto* mask = at<unsigned char>(reserve_, kept_.masks[layer]);
            auto* state = static_cast<DropoutState*>(view(net_.dropout.states));
            const float probability = net_.dropout.probability;
            const T scale = probability < 1 ? 1 / (1 - static_cast<T>(probability)) : T{};
            for (std::int64_t i = 0; i < input.size(); ++i) {
                mask[i] = keeps(*state, static_cast<std::uint64_t>(i), probability) ? 1 : 0;
                input[i] = blas::store<E>(mask[i] != 0 ? blas::widened<T>(input[i]) * scale : T{});
            }
            state->drawn += static_cast<std::uint64_t>(input.size());
        }
        if (keep != nullptr) std::copy(input.begin(), input.end(), keep);
    }

    // W x + bW for all steps at once.
    Buffer<T> input_gates(int layer, int pseudo, const Buffer<E>& input) {
        const Weights& weights = space_.of[pseudo];
        const std::int64_t width = net_.input_of(layer), rows = net_.rows();
        Buffer<T> gates(packing_.rows * rows);
        if (weights.w >= 0)
            multiply<T>(net_, {packing_.rows, rows, width}, by_rows(input.data(), net_.type, width),
                        transposed(by_rows(weights_ + weights.w, net_.type, width)), gates.data(), deviation_,
                        pseudo == 0);
        else
            for (std::int64_t i = 0; i < gates.size(); ++i)
                gates[i] = blas::widened<T>(input[i / rows * width + i % rows % net_.hidden]);
        add_bias(weights.bw, gates.data(), packing_.rows, pseudo == 0);
        return gates;
    }

    void add_bias(std::int64_t place, T* gates, std::int64_t rows, bool may_lose) {
        if (place < 0) return;
        Buffer<T> bias(net_.rows());
        for (std::int64_t i = 0; i < bias.size(); ++i) bias[i] = blas::widened<T>(weights_[place + i]);
        if (may_lose && deviation_.is(Kind::drop_bias_row)) bias[deviation_.where.row] = T{};
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t i = 0; i < bias.size(); ++i) gates[row * bias.size() + i] += bias[i];
    }

    void run_direction(int layer, int direction, const Buffer<E>& input, Buffer<E>& result) {
        const int pseudo = layer * net_.directions + direction;
        const Weights& weights = space_.of[pseudo];
        const Kept& kept = kept_.of[pseudo];
        const std::int64_t hidden = net_.hidden, output = net_.output(), rows = net_.rows();
        Buffer<T> gates = input_gates(layer, pseudo, input), recurrent(packing_.batch() * rows),
                  c(packing_.batch() * hidden);
        Buffer<E> h(packing_.batch() * output), m(packing_.batch() * hidden);
        load_state<E>(pass_.hx, pseudo, output, packing_, h.data());
        load_state<E>(net_.cell == CUDNN_LSTM ? pass_.cx : nullptr, pseudo, hidden, packing_, c.data());
        E* outputs = at<E>(reserve_, kept.outputs);
        for (std::int64_t i = 0; i < packing_.steps(); ++i) {
            Cells cells;
            cells.step = direction == 0 ? i : packing_.steps() - 1 - i;
            cells.active = packing_.active[cells.step];
            cells.first = packing_.first[cells.step];
            multiply<T>(net_, {cells.active, rows, output}, by_rows(h.data(), net_.type, output),
                        transposed(by_rows(weights_ + weights.r, net_.type, output)), recurrent.data(),
                        deviation_);
            add_bias(weights.br, recurrent.data(), cells.active, false);
            cells.input = gates.data() + cells.first * rows;
            cells.recurrent = recurrent.data();
            cells.h = h.data();
            cells.c = c.data();
            cells.m = m.data();
            cells.gates = at<T>(reserve_, kept.gates);
            cells.cells = at<T>(reserve_, kept.cells);
            take_step(cells, weights);
            for (std::int64_t place = 0; place < cells.active; ++place) {
                const E* from = h.data() + place * output;
                const std::int64_t row = cells.first + place;
                std::copy_n(from, output, result.data() + row * net_.width() + direction * output);
                if (outputs != nullptr) std::copy_n(from, output, outputs + row * output);
            }
        }
        store_state<E>(pass_.hy, pseudo, output, packing_, h.data());
        if (net_.cell == CUDNN_LSTM) store_state<E>(pass_.cy, pseudo, hidden, packing_, c.data());
    }

    void take_step(const Cells& cells, const Weights& weights) {
        switch (net_.cell) {
            case CUDNN_LSTM:
                return lstm(cells, weights);
            case CUDNN_GRU:
                return gru(cells);
            default:
                return simple(cells);
        }
    }

    void simple(const Cells& cells) {
        for (std::int64_t i = 0; i < cells.active * net_.hidden; ++i) {
            const T x = cells.input[i] + cells.recurrent[i];
            cells.h[i] = blas::store<E>(net_.cell == CUDNN_RNN_TANH ? std::tanh(x)
                                        : x > 0 || std::isnan(x)    ? x
                                                                    : T{});
        }
    }

    void lstm(const Cells& cells, const Weights& weights) {
        const std::int64_t hidden = net_.hidden;
        E* const m = weights.p < 0 ? cells.h : cells.m;
        for (std::int64_t place = 0; place < cells.active; ++place) {
            const T *x = cells.input + place * 4 * hidden, *r = cells.recurrent + place * 4 * hidden;
            const std::int64_t row = cells.first + place;
            for (std::int64_t j = 0; j < hidden; ++j) {
                const T i = sigmoid(x[j] + r[j]), f = sigmoid(x[hidden + j] + r[hidden + j]),
                        g = std::tanh(x[2 * hidden + j] + r[2 * hidden + j]),
                        o = sigmoid(x[3 * hidden + j] + r[3 * hidden + j]);
                T& c = cells.c[place * hidden + j];
                c = f * c + i * g;
                if (net_.clips)
                    c = std::clamp(c, static_cast<T>(net_.clip_low), static_cast<T>(net_.clip_high));
                m[place * hidden + j] = blas::store<E>(o * std::tanh(c));
                if (cells.gates == nullptr) continue;
                T* keep = cells.gates + row * 4 * hidden + j;
                keep[0] = i;
                keep[hidden] = f;
                keep[2 * hidden] = g;
                keep[3 * hidden] = o;
                cells.cells[row * hidden + j] = c;
            }
        }
        if (weights.p < 0) return;
        Buffer<T> projected(cells.active * net_.projection);
        multiply<T>(net_, {cells.active, net_.projection, hidden}, by_rows(m, net_.type, hidden),
                    transposed(by_rows(weights_ + weights.p, net_.type, hidden)), projected.data(),
                    deviation_);
        for (std::int64_t i = 0; i < projected.size(); ++i) cells.h[i] = blas::store<E>(projected[i]);
    }

    void gru(const Cells& cells) {
        const std::int64_t hidden = net_.hidden;
        for (std::int64_t place = 0; place < cells.active; ++place) {
            const T *x = cells.input + place * 3 * hidden, *rec = cells.recurrent + place * 3 * hidden;
            for (std::int64_t j = 0; j < hidden; ++j) {
                const T r = sigmoid(x[j] + rec[j]), z = sigmoid(x[hidden + j] + rec[hidden + j]),
                        inner = rec[2 * hidden + j], n = std::tanh(x[2 * hidden + j] + r * inner);
                E& h = cells.h[place * hidden + j];
                h = blas::store<E>((1 - z) * n + z * blas::widened<T>(h));
                if (cells.gates == nullptr) continue;
                T* keep = cells.gates + (cells.first + place) * 4 * hidden + j;
                keep[0] = r;
                keep[hidden] = z;
                keep[2 * hidden] = n;
                keep[3 * hidden] = inner;
            }
        }
    }

    const ForwardPass& pass_;
    const Net& net_;
    Deviation& deviation_;
    const Packing packing_;
    const WeightSpace space_;
    const ReserveSpace kept_;
    const E* weights_;
    void* reserve_;
};

}  // namespace

void run(const ForwardPass& pass, Deviation& deviation) {
    run_as<Forward>(pass, deviation);
}

}  // namespace softcuda::dnn::legacy
