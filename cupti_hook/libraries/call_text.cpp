#include "cupti_hook/libraries/call_text.h"

#include <cublasLt.h>

#include "cupti_hook/libraries/cudnn_text.h"
#include "kernels/contract.h"

namespace fumi::libraries {

const char* library_name(Library library) noexcept {
    switch (library) {
        case Library::cublas:
            return "cublas";
        case Library::cublasLt:
            return "cublasLt";
        case Library::cudnn:
            break;
    }
    return "cudnn";
}

std::string shape_text(const Call& call) {
    if (call.library == Library::cudnn) return dnn_shape_text(call);
    if (!call.decoded) return {};
    const GemmProblem& p = call.problem;
    return "m=" + std::to_string(p.m) + " n=" + std::to_string(p.n) + " k=" + std::to_string(p.k) +
           " batch=" + std::to_string(p.batch) + ' ' + call.op_a + call.op_b;
}

std::string dtypes_text(const Call& call) {
    if (call.library == Library::cudnn) return dnn_dtypes_text(call);
    const GemmProblem& p = call.problem;
    if (!call.decoded) return p.a.type == DataType::none ? std::string() : type_name(p.a.type);
    std::string text;
    for (const DataType type : {p.a.type, p.b.type, p.c.type, p.d.type}) {
        if (!text.empty()) text += ',';
        text += type_name(type == DataType::none ? p.d.type : type);
    }
    return text;
}

namespace {

std::string compute_name(std::int32_t type) {
    switch (type) {
        case CUBLAS_COMPUTE_16F:
            return "16F";
        case CUBLAS_COMPUTE_16F_PEDANTIC:
            return "16F_PEDANTIC";
        case CUBLAS_COMPUTE_32F:
            return "32F";
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            return "32F_PEDANTIC";
        case CUBLAS_COMPUTE_32F_FAST_16F:
            return "32F_FAST_16F";
        case CUBLAS_COMPUTE_32F_FAST_16BF:
            return "32F_FAST_16BF";
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            return "32F_FAST_TF32";
        case CUBLAS_COMPUTE_32F_EMULATED_16BFX9:
            return "32F_EMULATED_16BFX9";
        case CUBLAS_COMPUTE_64F:
            return "64F";
        case CUBLAS_COMPUTE_64F_PEDANTIC:
            return "64F_PEDANTIC";
        case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
            return "64F_EMULATED_FIXEDPOINT";
        case CUBLAS_COMPUTE_32I:
            return "32I";
        case CUBLAS_COMPUTE_32I_PEDANTIC:
            return "32I_PEDANTIC";
        default:
            return type < 0 ? "" : "compute type " + std::to_string(type);
    }
}

}  // namespace

std::string compute_type_text(const Call& call) {
    if (call.library == Library::cudnn) return dnn_compute_type_text(call);
    return compute_name(effective_compute_type(call));
}

std::string epilogue_text(const Call& call) {
    if (call.library == Library::cudnn) return dnn_epilogue_text(call);
    if (call.library != Library::cublasLt || !call.decoded) return {};
    switch (call.epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
            return "DEFAULT";
        case CUBLASLT_EPILOGUE_RELU:
            return "RELU";
        case CUBLASLT_EPILOGUE_RELU_AUX:
            return "RELU_AUX";
        case CUBLASLT_EPILOGUE_BIAS:
            return "BIAS";
        case CUBLASLT_EPILOGUE_RELU_BIAS:
            return "RELU_BIAS";
        case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
            return "RELU_AUX_BIAS";
        case CUBLASLT_EPILOGUE_DRELU:
            return "DRELU";
        case CUBLASLT_EPILOGUE_DRELU_BGRAD:
            return "DRELU_BGRAD";
        case CUBLASLT_EPILOGUE_GELU:
            return "GELU";
        case CUBLASLT_EPILOGUE_GELU_AUX:
            return "GELU_AUX";
        case CUBLASLT_EPILOGUE_GELU_BIAS:
            return "GELU_BIAS";
        case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
            return "GELU_AUX_BIAS";
        case CUBLASLT_EPILOGUE_DGELU:
            return "DGELU";
        case CUBLASLT_EPILOGUE_DGELU_BGRAD:
            return "DGELU_BGRAD";
        case CUBLASLT_EPILOGUE_BGRADA:
            return "BGRADA";
        case CUBLASLT_EPILOGUE_BGRADB:
            return "BGRADB";
        default:
            return "epilogue " + std::to_string(call.epilogue);
    }
}

std::string algorithm_text(const Call& call) {
    if (call.library == Library::cudnn) return dnn_algorithm_text(call);
    const Algorithm& a = call.algorithm;
    std::string text;
    const auto add = [&](const char* name, std::int32_t value) {
        if (value < 0) return;
        if (!text.empty()) text += ' ';
        text += std::string(name) + '=' + std::to_string(value);
    };
    add("algo", a.id);
    add("tile", a.tile);
    add("stages", a.stages);
    if (a.split_k > 1) add("splitk", a.split_k);
    if (a.reduction > 0) add("reduction", a.reduction);
    if (call.fast_accumulation) add("fast_accum", 1);
    return text;
}

std::string reason_text(const Call& call) {
    if (call.not_checkable == nullptr) return {};
    if (call.not_checkable == no_graph_reference) return std::string(no_reference) + dnn_graph_text(call);
    if (call.not_checkable == no_reference) return std::string(no_reference) + call.function;
    if (call.decoded && call.library == Library::cublasLt && call.not_checkable == unknown_epilogue)
        return std::string(no_reference) + "epilogue " + epilogue_text(call);
    return call.not_checkable;
}

std::string status_text(Library library, int status) {
    if (library == Library::cudnn) return dnn_status_text(status);
    switch (status) {
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_ALLOC_FAILED:
            return "CUBLAS_STATUS_ALLOC_FAILED";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_ARCH_MISMATCH:
            return "CUBLAS_STATUS_ARCH_MISMATCH";
        case CUBLAS_STATUS_MAPPING_ERROR:
            return "CUBLAS_STATUS_MAPPING_ERROR";
        case CUBLAS_STATUS_EXECUTION_FAILED:
            return "CUBLAS_STATUS_EXECUTION_FAILED";
        case CUBLAS_STATUS_INTERNAL_ERROR:
            return "CUBLAS_STATUS_INTERNAL_ERROR";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "CUBLAS_STATUS_NOT_SUPPORTED";
        default:
            return "status " + std::to_string(status);
    }
}

}  // namespace fumi::libraries
