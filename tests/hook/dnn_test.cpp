// cuDNN calls of programs without PyTorch: decoded, checked on their stream, and not changed.
#include <gtest/gtest.h>

#include "tests/hook/sessions.h"

namespace fumi::test {
namespace {

std::vector<std::string> dnn(const std::string& name, int count) {
    return {program("dnn"), name, std::to_string(count)};
}

std::string not_checked(const Process& run) {
    return value(run.session, "select group_concat(distinct not_checked) from calls where not_checked <> ''");
}

TEST(Dnn, ResultsAreTheSameWithAndWithoutTheHook) {
    for (const char* name : {"accumulating", "captured", "threads", "norm"}) {
        const Process plain = execute(dnn(name, 5), {}, false), hooked = execute(dnn(name, 5));
        EXPECT_EQ(plain.status, 6) << plain.err;
        EXPECT_EQ(hooked.status, 6) << hooked.err;
        EXPECT_EQ(plain.out, hooked.out) << name;
        EXPECT_NE(plain.out, "");
        EXPECT_EQ(hooked.messages(), std::vector<std::string>());
    }
}

TEST(Dnn, AnOutputThatIsAddedToIsSavedBeforeTheCall) {
    for (const char* seed : {"1", "2"}) {
        const Process run =
            execute(dnn("accumulating", 20), {{"SOFTCUDA_SCHEDULE", "adversarial"}, {"SOFTCUDA_SEED", seed}});
        EXPECT_EQ(
            value(run.session, "select count(*) from checks where verdict = 'pass' and elements = 1600"),
            "20")
            << not_checked(run);
    }
}

TEST(Dnn, AConvolutionIsDecoded) {
    const Process run = execute(dnn("accumulating", 1));
    EXPECT_EQ(
        query(run.session, "select library, function, shape, dtypes from calls"),
        (Rows{{"cudnn", "cudnnBackendExecute",
               "convolution_forward x=2x8x10x10 w=8x8x3x3 s=1 p=1 d=1 g=1 NCHW k=72", "fp32,fp32,fp32"}}));
    EXPECT_EQ(
        value(run.session, "select count(*) from calls where algorithm like 'engine=%' and kernel <> ''"),
        "1");
}

TEST(Dnn, CapturedChecksCountEveryLaunch) {
    const Process run = execute(dnn("captured", 5));
    EXPECT_EQ(query(run.session, "select elements, verdict from calls left join checks using (call_id)"),
              (Rows{{"8000", "pass"}}))
        << not_checked(run);
}

TEST(Dnn, ACallThroughALookedUpPointerIsCountedOnce) {
    const Process run = execute(dnn("pointer", 3));
    EXPECT_EQ(query(run.session, "select function, count(*) from calls group by 1"),
              (Rows{{"cudnnBackendExecute", "3"}}));
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "3")
        << not_checked(run);
}

TEST(Dnn, ThreadsDoNotMeet) {
    const Process run = execute(dnn("threads", 20), {{"SOFTCUDA_SCHEDULE", "adversarial"}});
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "40")
        << not_checked(run);
}

TEST(Dnn, BatchNormIsCheckedWithItsRunningStatistics) {
    const Process run = execute(dnn("norm", 3));
    EXPECT_EQ(
        query(run.session,
              "select function, verdict, count(*) from calls left join checks using (call_id) group by 1, 2"),
        (Rows{{"cudnnBatchNormalizationBackward", "pass", "3"},
              {"cudnnBatchNormalizationForwardInference", "pass", "3"},
              {"cudnnBatchNormalizationForwardTraining", "pass", "3"}}))
        << not_checked(run);
}

TEST(Dnn, SampledCoverage) {
    const Process run = execute(
        dnn("accumulating", 3),
        {{"FUMI_CONFIG",
          config_file("improve_precision: {coverage: sampled, sample_rows: 8, sample_columns: 8}\n")}});
    EXPECT_EQ(query(run.session, "select distinct coverage, elements, verdict from checks"),
              (Rows{{"sampled", "64", "pass"}}))
        << not_checked(run);
}

// The copy of y takes 6400 bytes, and the check its own.
TEST(Dnn, NoRoomForACopyIsAReason) {
    const Process run =
        execute(dnn("accumulating", 2), {{"FUMI_CONFIG", config_file("limits: {scratch: 4KiB}\n")}});
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked like '%limits.scratch%'"), "2")
        << not_checked(run);
}

TEST(Dnn, TraceModeChecksNothing) {
    const Process run = execute(dnn("norm", 1), {{"FUMI_MODE", "trace"}});
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked = 'trace mode'"), "3");
}

}  // namespace
}  // namespace fumi::test
