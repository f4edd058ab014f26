#include "tests/kernels/dnn_support.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace fumi::test {

Tensor::Tensor(DataType type, const std::vector<std::int64_t>& sizes, Format format) {
    view.type = type;
    view.rank = static_cast<std::int32_t>(sizes.size());
    std::copy(sizes.begin(), sizes.end(), view.size);
    std::int64_t stride = 1;
    if (format == Format::channels_last) {
        view.stride[1] = 1;
        stride = sizes[1];
    }
    for (int d = view.rank - 1; d >= 0; --d) {
        if (format == Format::channels_last && d == 1) continue;
        view.stride[d] = stride;
        stride *= sizes[static_cast<std::size_t>(d)];
    }
    memory_.resize(static_cast<std::size_t>(count()) * static_cast<std::size_t>(element_bytes(type)) / 8 + 1);
    view.data = memory_.data();
}

std::int64_t Tensor::count() const {
    std::int64_t n = 1;
    for (int d = 0; d < view.rank; ++d) n *= view.size[d];
    return n;
}

std::int64_t Tensor::offset(std::int64_t index) const {
    std::int64_t at = 0;
    for (int d = view.rank - 1; d >= 0; --d) {
        at += index % view.size[d] * view.stride[d];
        index /= view.size[d];
    }
    return at;
}

double Tensor::operator[](std::int64_t index) const {
    return decode(view.type, static_cast<const char*>(view.data) + offset(index) * element_bytes(view.type));
}
void Tensor::put(std::int64_t index, double value) {
    encode(view.type, value,
           reinterpret_cast<char*>(memory_.data()) + offset(index) * element_bytes(view.type));
}

double Tensor::get(const std::vector<std::int64_t>& at) const {
    std::int64_t index = 0;
    for (int d = 0; d < view.rank; ++d) index = index * view.size[d] + at[static_cast<std::size_t>(d)];
    return (*this)[index];
}
void Tensor::set(const std::vector<std::int64_t>& at, double value) {
    std::int64_t index = 0;
    for (int d = 0; d < view.rank; ++d) index = index * view.size[d] + at[static_cast<std::size_t>(d)];
    put(index, value);
}

void Tensor::fill(const std::function<double()>& draw) {
    for (std::int64_t i = 0; i < count(); ++i) put(i, draw());
}

Tensor Tensor::copy() const {
    Tensor other = *this;
    other.view.data = other.memory_.data();
    return other;
}

void run_launches(const CheckPlan& plan) {
    for (int l = 0; l < plan.count; ++l) {
        CheckLaunch launch = plan.launches[l];
        void* args[] = {launch.params};
        for (unsigned i = launch.blocks; i-- > 0;) {  // blocks may run in any order
            SoftcudaBlock block{
                {launch.blocks, 1, 1}, {launch.threads, 1, 1}, {i, 0, 0}, args, nullptr, 0, 0, 0};
            body_of(launch.kernel)(&block);
        }
    }
}

Largest::~Largest() {
    std::printf("%s: largest error / bound %.3g\n", operation_.c_str(), ratio_);
}

DnnContract plain_contract(DataType type, bool ieee) {
    DnnFacts facts;
    facts.input = facts.output = type;
    facts.compute = type == DataType::f64 ? DataType::f64 : DataType::f32;
    facts.ieee = ieee;
    return contract_for(facts);
}

}  // namespace fumi::test
