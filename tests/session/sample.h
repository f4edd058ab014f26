// Sample rows and scratch files for the tests of the session and of the command.
#pragma once
#include <stdlib.h>  // mkdtemp

#include <cstdio>
#include <filesystem>
#include <string>

#include "cupti_hook/session/writer.h"

namespace fumi::session {

class ScratchDirectory {
  public:
    ScratchDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "fumi-test-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    ~ScratchDirectory() {
        std::error_code code;
        std::filesystem::remove_all(path_, code);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

inline CallRecord sample_call(std::int64_t id, const std::string& api = "torch.nn.functional.linear",
                              Phase phase = Phase::forward) {
    CallRecord call;
    call.call_id = id;
    call.start_ns = 1700000000000000000 + id * 1000;
    call.process = 4711;
    call.rank = 2;
    call.thread = 4712;
    call.device = 1;
    call.stream = 0x7f0000001000;
    call.library = "cublasLt";
    call.function = "cublasLtMatmul";
    call.api = api;
    call.op = "aten::addmm";
    call.phase = phase;
    call.location = "train.py:31";
    call.module = "blocks.0.mlp.fc1 (Linear)";
    call.kernel = "gemm_tn";
    call.shape = "m=64 n=128 k=" + std::to_string(32 * id) + " batch=1 TN";
    call.dtypes = "f32,f32,f32,f32";
    call.compute_type = "32F";
    call.epilogue = "BIAS";
    call.algorithm = "id=5 tile=20";
    return call;
}

inline CheckRecord sample_check(std::int64_t id, std::int64_t call_id, Verdict verdict, double eta,
                                double bound) {
    CheckRecord check;
    check.check_id = id;
    check.call_id = call_id;
    check.mode = "improve_precision";
    check.reference = "fp64";
    check.coverage = "full";
    check.elements = 8192;
    check.max_abs_err = 1e-6;
    check.max_rel_err = 2e-5;
    check.rms_rel_err = 3e-7;
    check.backward_error = eta;
    check.bound = bound;
    check.effective_bits = 21.5 - static_cast<double>(id) / 8;
    check.amplification = 12.5 * static_cast<double>(id);
    check.mismatches = verdict == Verdict::fail ? 3 : 0;
    check.verdict = verdict;
    check.reason = verdict == Verdict::fail ? "3 elements over their bound" : "";
    check.check_ns = 1500;
    return check;
}

}  // namespace fumi::session
