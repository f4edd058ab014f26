// How a process begins and ends, and what may go wrong around FuMi: the program's own output and exit status
// stay.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/hook/sessions.h"

namespace fumi::test {
namespace {

std::vector<std::string> scenario(const std::string& name, int count = 1) {
    return {program("scenario"), name, std::to_string(count)};
}

std::string count_of(const Process& run) {
    return value(run.session, "select count(*) from calls");
}
std::string passes(const Process& run) {
    return value(run.session, "select count(*) from checks where verdict = 'pass'");
}

TEST(Lifecycle, ACallIsRecordedAndChecked) {
    const Process run = execute(scenario("calls", 5));
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(run.messages(), std::vector<std::string>());
    EXPECT_EQ(count_of(run), "5");
    EXPECT_EQ(passes(run), "5");
    EXPECT_NE(value(run.session, "select value from session where key = 'ended'"), "");
    EXPECT_EQ(value(run.session, "select count(*) from calls where kernel = ''"), "0");
}

TEST(Lifecycle, AProcessThatNeverCallsCudaLeavesNothing) {
    const Process run = execute(scenario("nothing"));
    EXPECT_EQ(run.status, 3);
    EXPECT_FALSE(exists(run.session));
    EXPECT_EQ(run.err, "");
    const Process preloaded = execute(
        scenario("nothing"), {{"LD_PRELOAD", std::string(FUMI_TEST_PRELOAD) + ":" + hook_library()}}, false);
    EXPECT_EQ(preloaded.status, 3);
    EXPECT_FALSE(exists(preloaded.session));
    EXPECT_EQ(preloaded.err, "");
}

TEST(Lifecycle, PreloadingWorksLikeInjection) {
    const Process run = execute(
        scenario("calls", 4), {{"LD_PRELOAD", std::string(FUMI_TEST_PRELOAD) + ":" + hook_library()}}, false);
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(count_of(run), "4");
    EXPECT_EQ(passes(run), "4");
}

TEST(Lifecycle, BothWaysInAreOne) {
    const Process run = execute(scenario("calls", 4),
                                {{"LD_PRELOAD", std::string(FUMI_TEST_PRELOAD) + ":" + hook_library()}});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(count_of(run), "4");
}

TEST(Lifecycle, OffMeansNothing) {
    const Process run = execute(scenario("calls"), {{"FUMI_MODE", "off"}});
    EXPECT_EQ(run.status, 0);
    EXPECT_FALSE(exists(run.session));
    EXPECT_EQ(run.messages(), std::vector<std::string>());
}

TEST(Lifecycle, TraceModeChecksNothingAndSaysSo) {
    const Process run = execute(scenario("calls", 3), {{"FUMI_MODE", "trace"}});
    EXPECT_EQ(count_of(run), "3");
    EXPECT_EQ(value(run.session, "select count(*) from checks"), "0");
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked = ''"), "0");
}

TEST(Lifecycle, ChecksInFlightAtExitAreTakenIn) {
    const Process run = execute(scenario("exit_in_flight", 30));
    EXPECT_EQ(run.status, 4);
    EXPECT_EQ(count_of(run), "30");
    EXPECT_EQ(passes(run), "30");
}

TEST(Lifecycle, AKilledProcessLeavesAReadableFile) {
    const Process run =
        execute(scenario("killed", 20), {{"FUMI_CONFIG", config_file("limits: {flush: 100ms}\n")}});
    EXPECT_EQ(run.status, 128 + 9);
    EXPECT_EQ(count_of(run), "20");
    EXPECT_EQ(passes(run), "20");
    EXPECT_EQ(query(run.session, "select value from session where key = 'ended'"), Rows());
}

TEST(Lifecycle, OtherExitsKeepTheirStatus) {
    EXPECT_EQ(execute(scenario("exit_at_once")).status, 7);
    EXPECT_EQ(execute(scenario("aborted")).status, 128 + 6);
}

TEST(Lifecycle, TheChildOfAForkIsInert) {
    const Process run = execute(scenario("forked", 3));
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_NE(run.out.find("child 5"), std::string::npos);
    EXPECT_EQ(count_of(run), "6");
    EXPECT_EQ(passes(run), "6");
    EXPECT_EQ(value(run.session, "select count(distinct process) from calls"), "1");
}

TEST(Lifecycle, AChildThatBeginsWithCudaItselfIsTraced) {
    const Process run = execute(scenario("forked_first", 3));
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_EQ(count_of(run), "3");
    const Process followed =
        execute(scenario("forked_first", 3),
                {{"LD_PRELOAD", std::string(FUMI_TEST_PRELOAD) + ":" + hook_library()}}, false);
    EXPECT_EQ(count_of(followed), "3");
}

TEST(Lifecycle, AfterAResetThereAreNoMoreChecks) {
    const Process run = execute(scenario("reset", 3), {{"LD_PRELOAD", FUMI_TEST_RESET_PRELOAD}});
    EXPECT_EQ(run.status, 6) << run.err;
    EXPECT_EQ(count_of(run), "6");
    EXPECT_EQ(passes(run), "3");
    EXPECT_EQ(value(run.session, "select count(*) from calls where not_checked like '%reset%'"), "3");
}

TEST(Lifecycle, AnUnwritableOutputIsOneMessage) {
    const Process run = execute(scenario("calls", 3), {{"FUMI_OUTPUT", "/proc/nowhere/s.fumi"}});
    EXPECT_EQ(run.status, 0);
    EXPECT_NE(run.out, "");
    ASSERT_EQ(run.messages().size(), 1U) << run.err;
    EXPECT_NE(run.messages()[0].find("/proc/nowhere/s.fumi"), std::string::npos);
}

TEST(Lifecycle, ABadConfigurationIsOneMessageWithItsPlace) {
    const std::string path = config_file("modes: [trace]\nlimits:\n  scrach: 1MiB\n");
    const Process run = execute(scenario("calls", 3), {{"FUMI_CONFIG", path}});
    EXPECT_EQ(run.status, 0);
    ASSERT_EQ(run.messages().size(), 1U) << run.err;
    EXPECT_NE(run.messages()[0].find(path + ":3:"), std::string::npos) << run.messages()[0];
    EXPECT_NE(run.messages()[0].find("scratch"), std::string::npos);
}

TEST(Lifecycle, ATakenCuptiSlotCostsTheKernelNames) {
    const Process run = execute(scenario("calls", 3), {{"SOFTCUDA_CUPTI_TAKEN", "nsys"}});
    EXPECT_EQ(run.status, 0);
    ASSERT_EQ(run.messages().size(), 1U) << run.err;
    EXPECT_NE(run.messages()[0].find("nsys"), std::string::npos);
    EXPECT_EQ(passes(run), "3");
    EXPECT_EQ(value(run.session, "select count(*) from calls where kernel <> ''"), "0");
}

TEST(Lifecycle, AFailedCallIsRecordedWithItsStatus) {
    const Process run = execute(scenario("failing_call"));
    EXPECT_NE(run.out.find("status 7"), std::string::npos) << run.out;
    EXPECT_EQ(value(run.session, "select not_checked from calls"),
              "the call failed: CUBLAS_STATUS_INVALID_VALUE");
}

TEST(Lifecycle, PointersFromDlsymAreHooked) {
    const Process run = execute(scenario("looked_up", 3));
    EXPECT_EQ(passes(run), "3") << run.err;
}

TEST(Lifecycle, NothingHookedIsSaidLoudly) {
    const Process run = execute({program("unhooked")});
    EXPECT_EQ(run.status, 8) << run.err;
    ASSERT_EQ(run.messages().size(), 1U) << run.err;
    EXPECT_NE(run.messages()[0].find("NO CALL IS SEEN"), std::string::npos);
}

TEST(Lifecycle, CudaWithoutCublasIsNoMatter) {
    const Process run = execute(scenario("no_blas"));
    EXPECT_EQ(run.messages(), std::vector<std::string>());
    EXPECT_EQ(count_of(run), "0");
}

TEST(Lifecycle, TwoProcessesDoNotShareAFile) {
    const Process run = execute(
        {"/bin/sh", "-c", program("scenario") + " killed 2 & " + program("scenario") + " killed 2; wait"});
    std::size_t sessions = 0;
    for (const auto& entry : std::filesystem::directory_iterator(run.directory))
        sessions += entry.path().extension() == ".fumi";
    EXPECT_EQ(sessions, 2U);
}

}  // namespace
}  // namespace fumi::test
