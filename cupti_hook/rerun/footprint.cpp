#include "cupti_hook/rerun/footprint.h"

#include "cupti_hook/libraries/cublas_handles.h"
#include "cupti_hook/libraries/cublaslt_again.h"

namespace fumi::rerun {

namespace {

bool reads_c(const GemmProblem& p) noexcept {
    return p.beta.device != nullptr || p.beta.re != 0 || p.beta.im != 0;
}

Region region(const MatrixView& view, std::int64_t rows, std::int64_t columns, std::int64_t batch,
              std::int8_t place) noexcept {
    Region made;
    made.elements = strided(view, rows, columns, batch);
    made.extent = extent_of(view, rows, columns, batch);
    made.places[0] = place;
    return made;
}

}  // namespace

Footprint footprint_of(const libraries::Call& call) noexcept {
    const GemmProblem& p = call.problem;
    const libraries::PointerPlaces& places = call.places;
    Footprint footprint;
    footprint.workspace_bytes = call.library == libraries::Library::cublas
                                    ? libraries::workspace_of(static_cast<cublasHandle_t>(call.handle))
                                    : call.workspace_bytes;
    if (!call.again || places.d < 0) {
        footprint.reason = "a second call: it cannot be made";
        return footprint;
    }
    if (call.output_on_host) {
        footprint.reason = "a second call: the result lies on the host";
        return footprint;
    }
    for (const MatrixView* view : {&p.a, &p.b, &p.c, &p.d})
        if (view->batch_pointers != nullptr) {
            footprint.reason = "a second call: operands behind arrays of pointers";
            return footprint;
        }
    Region a = region(p.a, p.m, p.k, p.batch, places.a), b = region(p.b, p.k, p.n, p.batch, places.b),
           d = region(p.d, p.m, p.n, p.batch, places.d);
    a.read = b.read = d.written = true;
    a.operand = 0;
    b.operand = 1;
    d.operand = 2;  // in place
    const bool in_place = p.c.data == p.d.data || places.c == places.d;
    if (places.c >= 0 && places.c != places.d && in_place) d.places[1] = places.c;
    if (reads_c(p) && in_place) d.read = true;
    footprint.regions[footprint.count++] = d;
    footprint.regions[footprint.count++] = a;
    footprint.regions[footprint.count++] = b;
    if (reads_c(p) && !in_place) {
        Region c = region(p.c, p.m, p.n, p.batch, places.c);
        if (c.extent.overlaps(d.extent)) footprint.reason = "a second call: C overlaps the output in part";
        c.read = true;
        c.operand = 2;
        footprint.regions[footprint.count++] = c;
    }
    if (call.library == libraries::Library::cublasLt)
        footprint.descriptor_bytes = libraries::descriptor_output_bytes(call);
    return footprint;
}

}  // namespace fumi::rerun
