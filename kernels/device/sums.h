// The four sums of one element, taken in the order of k: s = sum a b, g = sum |a b|, q = sum (a b)^2, z = sum
// of the running sums s. L is a double on the GPU and a pack of neighbouring columns on the host: the
// arithmetic of one element is the same in every build, whatever the width.
#pragma once
#include "kernels/device/numbers.h"

namespace fumi::FUMI_TARGET {

#ifdef __CUDACC__
using Lane = double;
inline constexpr int kLaneWidth = 1;
FUMI_DEVICE Lane magnitude(Lane x) {
    return fabs(x);
}
FUMI_DEVICE Lane multiply_add(Lane a, Lane b, Lane c) {
    return fma(a, b, c);
}
FUMI_DEVICE double column_of(Lane x, int) {
    return x;
}
FUMI_DEVICE Lane load_lane(const double* from) {
    return *from;
}
FUMI_DEVICE Lane spread(double x) {
    return x;
}
#else
using Lane = double __attribute__((vector_size(32), may_alias));
using LaneBits = long long __attribute__((vector_size(32), may_alias));
inline constexpr int kLaneWidth = 4;
FUMI_DEVICE Lane magnitude(const Lane& x) {
    return reinterpret_cast<Lane>(reinterpret_cast<LaneBits>(x) & 0x7fffffffffffffffLL);
}
FUMI_DEVICE Lane multiply_add(const Lane& a, const Lane& b, const Lane& c) {
    return Lane{fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1]), fma(a[2], b[2], c[2]), fma(a[3], b[3], c[3])};
}
FUMI_DEVICE double column_of(const Lane& x, int column) {
    return x[column];
}
FUMI_DEVICE Lane load_lane(const double* from) {
    return *reinterpret_cast<const Lane*>(from);
}
FUMI_DEVICE Lane spread(double x) {
    return Lane{x, x, x, x};
}
#endif

// What the sums of one element come to.
struct ElementSums {
    WideComplex s;
    double g = 0, q = 0;
    Complex z;
};

struct RealOperand {
    Lane re;
};
struct ComplexOperand {
    Lane re, im, size;
};

// Products of fp32 and lower types are exact in fp64, so that the sum alone rounds.
struct RealSums {
    using Operand = RealOperand;
    static constexpr bool kComplex = false;
    Lane s{}, g{}, q{}, z{};
    FUMI_DEVICE void add_product(const Operand& a, const Operand& b) {
        const Lane p = a.re * b.re;
        s += p;
        g += magnitude(p);
        q += p * p;
        z += s;
    }
    FUMI_DEVICE ElementSums element(int column) const {
        return {{{column_of(s, column), 0}, {}},
                column_of(g, column),
                column_of(q, column),
                {column_of(z, column), 0}};
    }
};

// Dot2 of Ogita, Rump and Oishi: the products' and the sums' rounding errors are summed apart.
struct WideLane {
    Lane hi{}, lo{};
    FUMI_DEVICE Lane add_product(const Lane& a, const Lane& b) {
        const Lane p = a * b;
        const Lane product_error = multiply_add(a, b, -p);
        const Lane sum = hi + p, t = sum - hi;
        const Lane sum_error = (hi - (sum - t)) + (p - t);
        hi = sum;
        lo += sum_error + product_error;
        return p;
    }
    FUMI_DEVICE Wide column(int index) const {
        // Once the sum has left the finite numbers the error terms are NaN and mean nothing.
        const double h = column_of(hi, index);
        return is_finite(h) ? normalised(h, column_of(lo, index)) : Wide{h, 0.0};
    }
};

struct DoubleSums {
    using Operand = RealOperand;
    static constexpr bool kComplex = false;
    WideLane s;
    Lane g{}, q{}, z{};
    FUMI_DEVICE void add_product(const Operand& a, const Operand& b) {
        const Lane p = s.add_product(a.re, b.re);
        g += magnitude(p);
        q += p * p;
        z += s.hi;
    }
    FUMI_DEVICE ElementSums element(int column) const {
        return {
            {s.column(column), {}}, column_of(g, column), column_of(q, column), {column_of(z, column), 0}};
    }
};

struct ComplexSums {
    using Operand = ComplexOperand;
    static constexpr bool kComplex = true;
    Lane re{}, im{}, g{}, q{}, z_re{}, z_im{};
    FUMI_DEVICE void add_product(const Operand& a, const Operand& b) {
        const Lane size = a.size * b.size;
        re += a.re * b.re - a.im * b.im;
        im += a.re * b.im + a.im * b.re;
        g += size;
        q += size * size;
        z_re += re;
        z_im += im;
    }
    FUMI_DEVICE ElementSums element(int column) const {
        return {{{column_of(re, column), 0}, {column_of(im, column), 0}},
                column_of(g, column),
                column_of(q, column),
                {column_of(z_re, column), column_of(z_im, column)}};
    }
};

struct DoubleComplexSums {
    using Operand = ComplexOperand;
    static constexpr bool kComplex = true;
    WideLane re, im;
    Lane g{}, q{}, z_re{}, z_im{};
    FUMI_DEVICE void add_product(const Operand& a, const Operand& b) {
        const Lane size = a.size * b.size;
        re.add_product(a.re, b.re);
        re.add_product(-a.im, b.im);
        im.add_product(a.re, b.im);
        im.add_product(a.im, b.re);
        g += size;
        q += size * size;
        z_re += re.hi;
        z_im += im.hi;
    }
    FUMI_DEVICE ElementSums element(int column) const {
        return {{re.column(column), im.column(column)},
                column_of(g, column),
                column_of(q, column),
                {column_of(z_re, column), column_of(z_im, column)}};
    }
};

}  // namespace fumi::FUMI_TARGET
