// What the tests of the kernels share: matrices of every type, a naive reference in 113 bits, and a way to
// run the host bodies without the software device.
#pragma once
#include <complex>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "kernels/checksum.h"
#include "kernels/gemm_check.h"
#include "kernels/precision.h"
#include "kernels/verdict.h"
#include "tools/softcuda/softcuda.h"

namespace fumi::test {

__extension__ typedef __float128 Quad;

// --- numbers, written independently of kernels/device/numbers.h
double decode(DataType type, const void* at);        // real part types only
void encode(DataType type, double value, void* at);  // round to nearest even, saturating fp8
double round_to(double value, int bits);             // nearest even, unbounded exponent
double truncate_to(double value, int bits);
std::complex<double> read(const MatrixView& view, std::int64_t row, std::int64_t col, std::int64_t batch);
void write(const MatrixView& view, std::int64_t row, std::int64_t col, std::int64_t batch,
           std::complex<double> value);

// --- a problem that owns its memory
enum class Layout { columns, rows };  // which dimension is contiguous
struct Shape {
    std::int64_t m = 1, n = 1, k = 1, batch = 1;
};
class Workload {
  public:
    Workload(const Shape& shape, DataType a, DataType b, DataType c, DataType d);
    // Replaces the memory of a matrix: layout, `padding` more elements in the leading dimension, or an array
    // of pointers.
    void lay_out(MatrixView& view, Layout layout, int padding, bool pointers);
    void fill(const std::function<double()>& draw);  // A, B and C
    void compute_exactly();                          // D = the reference, rounded to D's type
    void* bytes(std::size_t size);                   // memory that lives as long as this
    const std::vector<std::vector<std::uint64_t>>& memory() const { return memory_; }
    GemmProblem problem;

  private:
    std::vector<std::vector<std::uint64_t>> memory_;
};

struct NaiveElement {
    Quad re = 0, im = 0;
    double g = 0;
};
NaiveElement naive(const GemmProblem& problem, std::int64_t row, std::int64_t col, std::int64_t batch,
                   bool activate = true);
// What ErrorStats should hold for full coverage: elements, max_abs_err, max_rel_err, max_eta, sum_g,
// sum_abs_r, max_kappa.
ErrorStats naive_stats(const GemmProblem& problem, const BoundNumbers& bound);

// --- running
SoftcudaKernelBody body_of(const char* kernel);  // as the software device would run it
ErrorStats run_check(const GemmProblem& problem, const Contract& contract, const Coverage& coverage,
                     std::size_t ceiling = 1 << 20);
ErrorStats run_check(const GemmProblem& problem, const Contract& contract);
void run_merge(const GemmCheckPlan& plan, const std::vector<ErrorStats>& partials, ResultSlot& slot,
               std::uint64_t sequence, MergeMode mode);
// The checksum as a session runs it; scratch for the sums as there.
ErrorStats run_checksum(const GemmProblem& problem, const Contract& contract, const ChecksumChoice& choice);
PrecisionStats run_precision(const GemmProblem& problem, const Contract& contract, std::uint64_t seed = 1);
void run_blocks(const GemmCheckPlan& plan, const GemmCheckParams& params);

// --- distributions of inputs (docs/numerics.md)
enum class Distribution { normal, positive, uniform, heavy, cancelling };
inline constexpr Distribution kDistributions[] = {Distribution::normal, Distribution::positive,
                                                  Distribution::uniform, Distribution::heavy,
                                                  Distribution::cancelling};
const char* name(Distribution distribution);
std::function<double()> draws(Distribution distribution, std::mt19937_64& generator);

}  // namespace fumi::test
