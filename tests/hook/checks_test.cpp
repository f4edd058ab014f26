// What is decoded and checked: every function family, epilogue and pointer mode, streams and graphs.
#include <gtest/gtest.h>

#include "tests/hook/sessions.h"

namespace fumi::test {
namespace {

std::vector<std::string> scenario(const std::string& name, int count) {
    return {program("scenario"), name, std::to_string(count)};
}

std::string all_pass(const Process& run) {
    return value(run.session, "select group_concat(distinct verdict) from checks");
}

TEST(Families, ResultsAreTheSameWithAndWithoutTheHook) {
    for (const char* name : {"families", "lt"}) {
        const Process plain = execute({program(name)}, {}, false), hooked = execute({program(name)});
        EXPECT_EQ(plain.status, 0) << plain.err;
        EXPECT_EQ(hooked.status, 0) << hooked.err;
        EXPECT_EQ(plain.out, hooked.out);
        EXPECT_NE(plain.out, "");
        EXPECT_EQ(hooked.messages(), std::vector<std::string>());
    }
}

TEST(Families, EveryFunctionIsDecoded) {
    const Process run = execute({program("families")});
    const Rows expected = {
        {"cublasSgemm_v2", "m=64 n=32 k=48 batch=1 NT", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasDgemm_v2", "m=64 n=32 k=48 batch=1 NT", "fp64,fp64,fp64,fp64", "64F"},
        {"cublasCgemm_v2", "m=64 n=32 k=48 batch=1 NT", "complex64,complex64,complex64,complex64", "32F"},
        {"cublasZgemm_v2", "m=64 n=32 k=48 batch=1 NT", "complex128,complex128,complex128,complex128", "64F"},
        {"cublasSgemm_v2_64", "m=64 n=32 k=48 batch=1 NT", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasSgemmStridedBatched", "m=16 n=8 k=24 batch=3 TN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasDgemmStridedBatched", "m=16 n=8 k=24 batch=3 TN", "fp64,fp64,fp64,fp64", "64F"},
        {"cublasCgemmStridedBatched", "m=16 n=8 k=24 batch=3 TN", "complex64,complex64,complex64,complex64",
         "32F"},
        {"cublasZgemmStridedBatched", "m=16 n=8 k=24 batch=3 TN",
         "complex128,complex128,complex128,complex128", "64F"},
        {"cublasSgemmBatched", "m=16 n=8 k=24 batch=2 NN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasDgemmBatched", "m=16 n=8 k=24 batch=2 NN", "fp64,fp64,fp64,fp64", "64F"},
        {"cublasGemmEx", "m=64 n=32 k=48 batch=1 TN", "fp16,fp16,fp16,fp16", "32F"},
        {"cublasGemmStridedBatchedEx", "m=16 n=8 k=24 batch=3 NN", "bf16,bf16,bf16,bf16", "32F"},
        {"cublasGemmBatchedEx", "m=16 n=8 k=24 batch=3 NN", "bf16,bf16,bf16,bf16", "32F"},
        {"cublasSgemmEx", "m=64 n=32 k=48 batch=1 TN", "fp16,fp16,fp32,fp32", "32F"},
        {"cublasSgemv_v2", "m=40 n=1 k=24 batch=1 NN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasDgemv_v2", "m=40 n=1 k=24 batch=1 NN", "fp64,fp64,fp64,fp64", "64F"},
        {"cublasCgemv_v2", "m=40 n=1 k=24 batch=1 NN", "complex64,complex64,complex64,complex64", "32F"},
        {"cublasZgemv_v2", "m=40 n=1 k=24 batch=1 NN", "complex128,complex128,complex128,complex128", "64F"},
        {"cublasSdot_v2", "m=1 n=1 k=100 batch=1 TN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasDdot_v2", "m=1 n=1 k=100 batch=1 TN", "fp64,fp64,fp64,fp64", "64F"},
        {"cublasCdotu_v2", "m=1 n=1 k=100 batch=1 TN", "complex64,complex64,complex64,complex64", "32F"},
        {"cublasCdotc_v2", "m=1 n=1 k=100 batch=1 CN", "complex64,complex64,complex64,complex64", "32F"},
        {"cublasZdotc_v2", "m=1 n=1 k=100 batch=1 CN", "complex128,complex128,complex128,complex128", "64F"},
        {"cublasDotEx", "m=1 n=1 k=100 batch=1 TN", "fp16,fp16,fp16,fp16", "32F"},
        {"cublasSdot_v2", "m=1 n=1 k=100 batch=1 TN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasSgemm_v2", "m=64 n=32 k=48 batch=1 NN", "fp32,fp32,fp32,fp32", "32F"},
        {"cublasStrsm_v2", "", "fp32", ""},
    };
    EXPECT_EQ(query(run.session, "select function, shape, dtypes, compute_type from calls order by call_id"),
              expected);
    EXPECT_EQ(all_pass(run), "pass");
    EXPECT_EQ(query(run.session, "select function, not_checked from calls where not_checked <> ''"),
              (Rows{{"cublasDgemmBatched", "C behind an array of pointers is overwritten by the call"},
                    {"cublasStrsm_v2", "no reference for cublasStrsm_v2"}}));
    EXPECT_EQ(value(run.session, "select count(*) from checks"), "26");
    // Full coverage is every element.
    EXPECT_EQ(value(run.session, "select elements from checks where call_id = 1"), "2048");
    EXPECT_EQ(value(run.session, "select elements from checks where call_id = 6"), "384");
}

TEST(Families, EveryEpilogueIsDecoded) {
    const Process run = execute({program("lt")});
    const Rows expected = {{"DEFAULT", "32F", "pass"},       {"BIAS", "32F", "pass"},
                           {"RELU", "32F", "pass"},          {"RELU_BIAS", "32F", "pass"},
                           {"GELU", "32F", "pass"},          {"GELU_BIAS", "32F", "pass"},
                           {"GELU_AUX_BIAS", "32F", "pass"}, {"RELU_AUX_BIAS", "32F", "pass"},
                           {"DEFAULT", "32F", "pass"},       {"DEFAULT", "32F", "pass"},
                           {"DEFAULT", "32F", "pass"},       {"DEFAULT", "32F_FAST_TF32", "pass"},
                           {"DEFAULT", "32I", "pass"},       {"DGELU", "32F", "null"}};
    EXPECT_EQ(query(run.session,
                    "select epilogue, compute_type, verdict from calls left join checks using (call_id) "
                    "order by call_id"),
              expected);
    EXPECT_EQ(value(run.session, "select reference from checks where call_id = 13"), "exact integer");
    EXPECT_NE(value(run.session, "select not_checked from calls where epilogue = 'DGELU'").find("DGELU"),
              std::string::npos);
}

TEST(Streams, COverwrittenInPlaceIsCompared) {
    const Process run = execute(scenario("in_place", 40));
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "40");
    const Process plain = execute(scenario("in_place", 40), {}, false);
    EXPECT_EQ(plain.out, run.out);
}

TEST(Streams, AScatteredCIsSavedToo) {
    const Process plain = execute(scenario("scattered", 1), {}, false),
                  run = execute(scenario("scattered", 1));
    EXPECT_EQ(plain.out, run.out);
    EXPECT_EQ(query(run.session, "select elements, verdict, coverage from checks order by call_id"),
              (Rows{{"128", "pass", "full"}, {"40", "pass", "full"}, {"40", "pass", "full"}}))
        << run.err;
}

// Fails where a copy of C or a check is enqueued on another stream than the call's.
TEST(Streams, ChecksKeepTheirPlaceOnTheStream) {
    for (const char* seed : {"1", "2", "3"}) {
        const Process run = execute(scenario("overwritten", 40),
                                    {{"SOFTCUDA_SCHEDULE", "adversarial"}, {"SOFTCUDA_SEED", seed}});
        EXPECT_EQ(run.status, 6) << run.err;
        EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "40");
    }
}

TEST(Streams, ThreadsDoNotMeet) {
    const Process run = execute(scenario("threads", 40), {{"SOFTCUDA_SCHEDULE", "adversarial"}});
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "80");
    EXPECT_EQ(value(run.session, "select count(distinct thread) from calls"), "2");
}

TEST(Graphs, CapturedChecksCountEveryLaunch) {
    const Process plain = execute(scenario("graph", 5), {}, false), run = execute(scenario("graph", 5));
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_EQ(plain.out, run.out);
    EXPECT_EQ(
        query(
            run.session,
            "select call_id, elements, verdict from calls left join checks using (call_id) order by call_id"),
        (Rows{{"1", "4096", "pass"}, {"2", "20480", "pass"}, {"3", "20480", "pass"}}));
    EXPECT_EQ(value(run.session, "select launches from check_row where call_id = 3"), "5");
}

TEST(Graphs, TheFirstCallMayBeCaptured) {
    const Process run = execute(scenario("graph_first", 4));
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_EQ(value(run.session, "select elements from checks where verdict = 'pass'"),
              std::to_string(4 * 64 * 64));
}

TEST(Choice, EveryNthCall) {
    const Process run =
        execute(scenario("calls", 10), {{"FUMI_CONFIG", config_file("improve_precision: {every: 5}\n")}});
    EXPECT_EQ(value(run.session, "select count(*) from checks"), "2") << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked like '%every%'"), "8");
}

TEST(Choice, Functions) {
    const Process run =
        execute({program("families")}, {{"FUMI_CONFIG", config_file("functions: ['cublasDgemm*']\n")}});
    EXPECT_EQ(
        value(run.session, "select group_concat(distinct function) from calls join checks using (call_id)"),
        "cublasDgemm_v2,cublasDgemmStridedBatched")
        << run.err;
}

TEST(Choice, SampledCoverage) {
    const Process run = execute(
        scenario("calls", 3),
        {{"FUMI_CONFIG",
          config_file("improve_precision: {coverage: sampled, sample_rows: 8, sample_columns: 16}\n")}});
    EXPECT_EQ(query(run.session, "select distinct coverage, elements, verdict from checks"),
              (Rows{{"sampled", "128", "pass"}}))
        << run.err;
}

TEST(Choice, ScratchTooSmallForCIsAWindow) {
    // 64 x 64 fp32 is 16 KiB; with the 264 KiB and more that all checks need, 280 KiB leave room
    // for half of it.
    const Process run =
        execute(scenario("in_place", 6), {{"FUMI_CONFIG", config_file("limits: {scratch: 280KiB}\n")}});
    EXPECT_EQ(query(run.session, "select distinct coverage, elements, verdict from checks"),
              (Rows{{"sampled", "2048", "pass"}}))
        << run.err;
}

TEST(Choice, NoScratchAtAllIsAReason) {
    const Process run =
        execute(scenario("calls", 3), {{"FUMI_CONFIG", config_file("limits: {scratch: 64KiB}\n")}});
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked like '%limits.scratch%'"), "3")
        << run.err;
}

TEST(Choice, ALimitOfCalls) {
    const Process run =
        execute(scenario("calls", 10), {{"FUMI_CONFIG", config_file("limits: {calls: 4}\n")}});
    EXPECT_EQ(value(run.session, "select count(*) from calls"), "4") << run.err;
    EXPECT_EQ(value(run.session, "select value from session where key = 'beyond_limit'"), "6");
}

class Faults : public testing::TestWithParam<const char*> {};

TEST_P(Faults, AreFoundInTheirCallAndNoOther) {
    const std::string faults = config_file(std::string("faults:\n  - function: cublasSgemm_v2\n    kind: ") +
                                           GetParam() + "\n    nth: 7\n    seed: 1\n");
    const Process run = execute(scenario("in_place", 12), {{"SOFTCUDA_FAULTS", faults}});
    EXPECT_EQ(query(run.session, "select call_id from checks where verdict = 'fail'"), (Rows{{"7"}}))
        << GetParam() << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "11") << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults,
                         testing::Values("round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate",
                                         "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
                                         "negate_row", "stale_output", "swap_columns"),
                         [](const auto& kind) { return std::string(kind.param); });

}  // namespace
}  // namespace fumi::test
