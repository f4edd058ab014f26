// cublasLtMatmul, whose arguments are opaque descriptors: they are read through cuBLASLt's own Get functions.
#include "cupti_hook/libraries/cublas_decode.h"
#include "cupti_hook/libraries/cublaslt_api.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/libraries/wrapper.h"

namespace fumi::libraries {

namespace {

// One attribute; `value` keeps what it was where the library does not know the attribute (older versions).
template <class T>
T attribute(cublasLtMatmulDesc_t descriptor, cublasLtMatmulDescAttributes_t which, T value) noexcept {
    T read = value;
    std::size_t written = 0;
    const auto status = cublaslt_api()->matmul_desc_get(descriptor, which, &read, sizeof read, &written);
    return status == CUBLAS_STATUS_SUCCESS && written == sizeof read ? read : value;
}

template <class T>
T attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which, T value) noexcept {
    T read = value;
    std::size_t written = 0;
    const auto status = cublaslt_api()->matrix_layout_get(layout, which, &read, sizeof read, &written);
    return status == CUBLAS_STATUS_SUCCESS && written == sizeof read ? read : value;
}

template <class T>
T attribute(const cublasLtMatmulAlgo_t* algo, cublasLtMatmulAlgoConfigAttributes_t which, T value) noexcept {
    T read = value;
    std::size_t written = 0;
    const auto status = cublaslt_api()->algo_config_get(algo, which, &read, sizeof read, &written);
    return status == CUBLAS_STATUS_SUCCESS && written == sizeof read ? read : value;
}

struct Layout {
    MatrixView view;  // of the stored matrix
    std::int64_t rows = 0, cols = 0;
    std::int32_t batch = 1;
    const char* reason = nullptr;  // why this layout cannot be expressed by strides
};

Layout read_layout(cublasLtMatrixLayout_t descriptor, const void* data) noexcept {
    Layout layout;
    MatrixView& view = layout.view;
    view.type = static_cast<DataType>(attribute<std::uint32_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_TYPE, ~0U));
    layout.rows =
        static_cast<std::int64_t>(attribute<std::uint64_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_ROWS, 0));
    layout.cols =
        static_cast<std::int64_t>(attribute<std::uint64_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_COLS, 0));
    layout.batch = attribute<std::int32_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 1);
    const auto ld = attribute<std::int64_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_LD, 0);
    const auto order = attribute<std::int32_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_ORDER, CUBLASLT_ORDER_COL);
    view.row_stride = order == CUBLASLT_ORDER_ROW ? ld : 1;
    view.col_stride = order == CUBLASLT_ORDER_ROW ? 1 : ld;
    if (order != CUBLASLT_ORDER_ROW && order != CUBLASLT_ORDER_COL)
        layout.reason = "a tiled matrix order (COL32 and its like)";
    view.data = data;
    if (layout.batch > 1) {
        view.batch_stride =
            attribute<std::int64_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 0);
        const auto mode = attribute<std::uint32_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_BATCH_MODE,
                                                   CUBLASLT_BATCH_MODE_STRIDED);
        if (mode == CUBLASLT_BATCH_MODE_POINTER_ARRAY) {
            view.batch_pointers = static_cast<const void* const*>(data);
            view.data = nullptr;
        }
    }
    if (attribute<std::int64_t>(descriptor, CUBLASLT_MATRIX_LAYOUT_PLANE_OFFSET, 0) != 0)
        layout.reason = "a planar complex layout";
    return layout;
}

// op(A) of a stored A.
MatrixView operand(const Layout& layout, std::int32_t op) noexcept {
    MatrixView view = layout.view;
    if (op != CUBLAS_OP_N) std::swap(view.row_stride, view.col_stride);
    view.conjugate = op == CUBLAS_OP_C && (view.type == DataType::c32 || view.type == DataType::c64);
    return view;
}

char letter(std::int32_t op) noexcept {
    return op == CUBLAS_OP_N ? 'N' : op == CUBLAS_OP_T ? 'T' : 'C';
}

void decode_scalars(Call& call, cublasLtMatmulDesc_t desc, const void* alpha, const void* beta) noexcept {
    const auto mode =
        attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_POINTER_MODE, CUBLASLT_POINTER_MODE_HOST);
    const auto given = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_SCALE_TYPE, -1);
    auto type = static_cast<DataType>(given);
    if (given < 0) type = scalar_type(call.compute_type, call.problem.a.type);
    if (mode != CUBLASLT_POINTER_MODE_HOST && mode != CUBLASLT_POINTER_MODE_DEVICE)
        call.not_checkable = "alpha is a vector on the device";
    const bool on_device = mode == CUBLASLT_POINTER_MODE_DEVICE;
    call.problem.alpha = read_scalar(alpha, type, on_device);
    call.problem.beta = read_scalar(beta, type, on_device);
}

Scale read_scale(Call& call, cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t pointer,
                 cublasLtMatmulDescAttributes_t mode) noexcept {
    Scale scale;
    scale.device = attribute<const float*>(desc, pointer, nullptr);
    if (scale.device == nullptr) return scale;
    switch (attribute<std::int32_t>(desc, mode, CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F)) {
        case CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F:
            scale.kind = ScaleKind::scalar;
            break;
        case CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F:
            scale.kind = ScaleKind::outer;
            break;
        default:
            call.not_checkable = "block scales of narrow operands";
    }
    return scale;
}

bool narrow(DataType type) noexcept {
    const int value = static_cast<int>(type);
    return value == CUDA_R_8F_E4M3 || value == CUDA_R_8F_E5M2 || value == CUDA_R_4F_E2M1;
}

// Scale pointers belong to fp8 and fp4: others need not be asked for them.
void decode_scales(Call& call, cublasLtMatmulDesc_t desc) noexcept {
    GemmProblem& p = call.problem;
    if (!narrow(p.a.type) && !narrow(p.b.type) && !narrow(p.d.type)) return;
    p.scale_a =
        read_scale(call, desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_A_SCALE_MODE);
    p.scale_b =
        read_scale(call, desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_MODE);
    p.scale_c =
        read_scale(call, desc, CUBLASLT_MATMUL_DESC_C_SCALE_POINTER, CUBLASLT_MATMUL_DESC_C_SCALE_MODE);
    p.scale_d =
        read_scale(call, desc, CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, CUBLASLT_MATMUL_DESC_D_SCALE_MODE);
    if (attribute<const void*>(desc, CUBLASLT_MATMUL_DESC_D_OUT_SCALE_POINTER, nullptr) != nullptr)
        call.not_checkable = "block scales of a narrow output";
    call.fast_accumulation = attribute<std::int8_t>(desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, 0) != 0;
}

// Default of CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE (its comment in cublasLt.h).
DataType default_bias_type(const Call& call) noexcept {
    const GemmProblem& p = call.problem;
    if (p.a.type == DataType::i8) return call.problem.alpha.type;
    if (narrow(p.a.type)) return p.d.type == DataType::f16 ? DataType::f16 : DataType::bf16;
    return p.d.type;
}

void decode_bias(Call& call, cublasLtMatmulDesc_t desc) noexcept {
    GemmProblem& p = call.problem;
    p.bias = attribute<const void*>(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, nullptr);
    const auto type = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, -1);
    p.bias_type = type < 0 ? default_bias_type(call) : static_cast<DataType>(type);
    if (p.batch > 1)
        p.bias_batch_stride = attribute<std::int64_t>(desc, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, 0);
}

void decode_gelu_aux(Call& call, cublasLtMatmulDesc_t desc) noexcept {
    MatrixView& aux = call.problem.aux;
    aux.data = attribute<const void*>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nullptr);
    const auto type = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, -1);
    aux.type = type < 0 ? call.problem.d.type : static_cast<DataType>(type);
    aux.row_stride = 1;
    aux.col_stride = attribute<std::int64_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 0);
    aux.batch_stride = attribute<std::int64_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, 0);
    // A scaled fp8 auxiliary output is not compared: its scale is not part of a problem.
    if (narrow(aux.type)) aux = MatrixView{};
}

void decode_epilogue(Call& call, cublasLtMatmulDesc_t desc) noexcept {
    GemmProblem& p = call.problem;
    const auto epilogue =
        attribute<std::uint32_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    call.epilogue = static_cast<std::int32_t>(epilogue);
    switch (epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
            break;
        case CUBLASLT_EPILOGUE_BIAS:
            decode_bias(call, desc);
            break;
        // The AUX output of ReLU is a bit mask of the signs; D, which holds them too, is what is compared.
        case CUBLASLT_EPILOGUE_RELU_BIAS:
        case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
            decode_bias(call, desc);
            [[fallthrough]];
        case CUBLASLT_EPILOGUE_RELU:
        case CUBLASLT_EPILOGUE_RELU_AUX:
            p.activation = Activation::relu;
            break;
        case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
            decode_gelu_aux(call, desc);
            [[fallthrough]];
        case CUBLASLT_EPILOGUE_GELU_BIAS:
            decode_bias(call, desc);
            [[fallthrough]];
        case CUBLASLT_EPILOGUE_GELU:
            p.activation = Activation::gelu_tanh;
            break;
        case CUBLASLT_EPILOGUE_GELU_AUX:
            decode_gelu_aux(call, desc);
            p.activation = Activation::gelu_tanh;
            break;
        default:
            call.not_checkable = unknown_epilogue;
    }
}

void decode_algorithm(Call& call, const cublasLtMatmulAlgo_t* algo) noexcept {
    Algorithm& a = call.algorithm;
    a.from_lt = true;
    if (algo == nullptr) return;  // cuBLASLt asks its heuristic itself
    a.id = attribute<std::int32_t>(algo, CUBLASLT_ALGO_CONFIG_ID, -1);
    a.tile = static_cast<std::int32_t>(attribute<std::uint32_t>(algo, CUBLASLT_ALGO_CONFIG_TILE_ID, ~0U));
    a.stages = static_cast<std::int32_t>(attribute<std::uint32_t>(algo, CUBLASLT_ALGO_CONFIG_STAGES_ID, ~0U));
    a.split_k = attribute<std::int32_t>(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, -1);
    a.reduction =
        static_cast<std::int32_t>(attribute<std::uint32_t>(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 0));
}

void matmul(Call& call, cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
            cublasLtMatrixLayout_t layout_a, const void* b, cublasLtMatrixLayout_t layout_b, const void* beta,
            const void* c, cublasLtMatrixLayout_t layout_c, const void* d, cublasLtMatrixLayout_t layout_d,
            const cublasLtMatmulAlgo_t* algo, const void* workspace, std::size_t workspace_bytes,
            cudaStream_t stream) noexcept {
    call.library = Library::cublasLt;
    call.descriptor = desc;
    call.workspace_bytes = workspace == nullptr ? 0 : workspace_bytes;
    call.places = {.handle = 0, .descriptor = 1, .a = 3, .b = 5, .c = 8, .d = 10, .workspace = 13};
    call.handle = handle;
    call.stream = stream;
    if (cublaslt_api() == nullptr || desc == nullptr || layout_a == nullptr || layout_b == nullptr ||
        layout_c == nullptr || layout_d == nullptr) {
        call.not_checkable = "the descriptors cannot be read";
        return;
    }
    const auto op_a = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N);
    const auto op_b = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    const Layout la = read_layout(layout_a, a), lb = read_layout(layout_b, b), lc = read_layout(layout_c, c),
                 ld = read_layout(layout_d, d);
    GemmProblem& p = call.problem;
    p.a = operand(la, op_a);
    p.b = operand(lb, op_b);
    p.c = lc.view;
    p.d = ld.view;
    p.m = ld.rows;
    p.n = ld.cols;
    p.k = op_a == CUBLAS_OP_N ? la.cols : la.rows;
    p.batch = ld.batch;
    call.op_a = letter(op_a);
    call.op_b = letter(op_b);
    call.compute_type = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, -1);
    for (const Layout* layout : {&la, &lb, &lc, &ld})
        if (layout->reason != nullptr) call.not_checkable = layout->reason;
    decode_scalars(call, desc, alpha, beta);
    decode_scales(call, desc);
    decode_epilogue(call, desc);
    decode_algorithm(call, algo);
    if (attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_FILL_MODE, CUBLAS_FILL_MODE_FULL) !=
        CUBLAS_FILL_MODE_FULL)
        call.not_checkable = "only a triangle of the output is computed";
    call.decoded = true;
}

FUMI_TAG(cublasLtMatmul, matmul)
const interpose::Hook hooks[] = {FUMI_HOOK(cublasLtMatmul, cublaslt_soname)};

}  // namespace

std::span<const interpose::Hook> cublaslt_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
