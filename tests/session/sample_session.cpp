// A stand-in for a program under FuMi: writes a session where the environment says, as the hook does, and
// ends.
//   sample_session [PATH] [pass|mixed|killed|unchecked|empty|realistic]
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "config/config.h"
#include "cupti_hook/session/writer.h"
#include "tests/session/sample.h"

namespace {

using fumi::session::CallRecord;
using fumi::session::CheckRecord;
using fumi::session::Phase;
using fumi::session::Verdict;
using fumi::session::Writer;

// Three linear calls, of which one fails, one warns and one has an awkward name; one product left unchecked.
void write_mixed(Writer* writer, bool with_suspects) {
    using fumi::session::sample_call;
    using fumi::session::sample_check;
    for (std::int64_t id = 1; id <= 3; ++id) writer->add(sample_call(id));
    CallRecord odd = sample_call(4, "torch.mm", Phase::backward);
    odd.location = "odd,\"name\" </script><b>.py:7";
    writer->add(odd);
    CallRecord unchecked = sample_call(5, "torch.bmm");
    unchecked.not_checked = "scratch ceiling of 256MiB";
    writer->add(unchecked);
    writer->add(sample_check(1, 1, Verdict::pass, 0.25, 10));
    writer->add(
        sample_check(2, 2, with_suspects ? Verdict::fail : Verdict::pass, with_suspects ? 120.5 : 1.5, 10));
    writer->add(sample_check(3, 3, with_suspects ? Verdict::warn : Verdict::pass, 9.5, 10));
    writer->add(sample_check(4, 4, Verdict::pass, 2, 10));
}

// What a short training run leaves: for looking at the report, and for the time that a large session takes.
void write_realistic(Writer* writer, std::int64_t calls) {
    std::mt19937 random(1);
    std::lognormal_distribution<double> spread(0, 0.5);
    const char* const modules[] = {"blocks.0.attention.qkv (Linear)", "blocks.0.mlp.0 (Linear)",
                                   "blocks.1.mlp.2 (Linear)", "head (Linear)"};
    for (std::int64_t id = 1; id <= calls; ++id) {
        const bool backward = id % 3 == 0;
        const bool product = id % 7 == 0;
        CallRecord call =
            fumi::session::sample_call(id, product ? "torch.matmul" : "torch.nn.functional.linear",
                                       backward ? Phase::backward : Phase::forward);
        const auto k = static_cast<std::int64_t>(64) << (id % 7);
        call.library = product ? "cublas" : "cublasLt";
        call.function = product ? "cublasSgemm_v2" : "cublasLtMatmul";
        call.shape = "m=256 n=384 k=" + std::to_string(k) + " batch=1 TN";
        call.dtypes = id % 2 == 0 ? "bf16,bf16,bf16,bf16" : "f32,f32,f32,f32";
        call.location = "/home/me/project/train_gpt.py:" + std::to_string(28 + id % 5);
        call.module = modules[id % 4];
        call.kernel = "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x64x64_warpgroupsize1x1x1";
        const bool unchecked = id % 11 == 0;
        if (unchecked)
            call.not_checked = id % 2 == 0
                                   ? "the matrix would need 512 MiB of scratch (limits.scratch: 256MiB)"
                                   : "not chosen: every 2nd call is";
        writer->add(call);
        if (unchecked) continue;
        const double bound =
            2 * std::sqrt(static_cast<double>(k)) + 2 + (id % 2 == 0 ? 0.11 * static_cast<double>(k) : 0);
        const bool bad = id % 197 == 0;
        const bool warned = id % 331 == 0;
        const double eta = bad ? bound * 40 : 0.2 * std::sqrt(static_cast<double>(k)) * spread(random);
        CheckRecord check = fumi::session::sample_check(0, id,
                                                        bad      ? Verdict::fail
                                                        : warned ? Verdict::warn
                                                                 : Verdict::pass,
                                                        eta, bound);
        check.amplification = 20 * std::pow(spread(random), 6);
        check.effective_bits = bad ? 5.1 : 20.5 + std::log(spread(random));
        if (bad)
            check.reason =
                "12 of 98,304 elements are over their bound; the worst is D[17,203] = 1.2345, the reference "
                "1.1734";
        if (warned) check.reason = "11.2 effective bits where the fp32 contract promises 20 or more";
        writer->add(check);
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<fumi::config::Fault> faults;
    const std::string given = argc > 1 ? argv[1] : "";
    const std::string kind = argc > 2 ? argv[2] : "mixed";
    const std::string path =
        given.empty() ? fumi::config::session_path(fumi::config::from_environment(&faults), getpid()) : given;
    std::string error;
    const auto writer = Writer::create(path, &error);
    if (writer == nullptr) {
        std::fprintf(stderr, "%s\n", error.c_str());
        return 1;
    }
    writer->set("device", "softcuda (software device)");
    writer->set("command", "python train_gpt.py --steps 20");
    if (kind == "mixed" || kind == "pass" || kind == "killed") write_mixed(writer.get(), kind != "pass");
    if (kind == "killed" && writer->flush()) std::raise(SIGKILL);
    if (kind == "realistic") write_realistic(writer.get(), argc > 3 ? std::atoll(argv[3]) : 2000);
    if (kind == "unchecked") {
        CallRecord call = fumi::session::sample_call(1);
        call.not_checked = "mode trace";
        writer->add(call);
    }
    writer->set("ended", "2026-01-01T00:00:00Z");
    return 0;
}
