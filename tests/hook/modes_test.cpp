// The modes besides improve_precision: rows of their own for each call, and nothing of the program's changed.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/hook/sessions.h"

namespace fumi::test {
namespace {

std::vector<std::string> scenario(const std::string& name, int count) {
    return {program("scenario"), name, std::to_string(count)};
}

Environment modes(const std::string& names) {
    return {{"FUMI_MODE", names}};
}

std::string faults(const std::string& text) {
    return config_file("faults:\n  - " + text + "\n");
}

class Repeat : public testing::TestWithParam<const char*> {};

// In place, overwritten right behind the call, scattered, on two threads, in a graph: the second call finds
// what the first one found, and the program's result is its own.
TEST_P(Repeat, ADeterministicKernelGivesTheSameBits) {
    const Process plain = execute(scenario(GetParam(), 12), {}, false);
    for (const char* schedule : {"", "adversarial"}) {
        Environment environment = modes("trace,improve_precision,repeat");
        if (*schedule != '\0') environment["SOFTCUDA_SCHEDULE"] = schedule;
        const Process run = execute(scenario(GetParam(), 12), environment);
        EXPECT_EQ(run.out, plain.out);
        EXPECT_EQ(run.status, plain.status) << run.err;
        EXPECT_EQ(query(run.session, "select reason from checks where verdict <> 'pass'"), Rows{}) << run.err;
        EXPECT_EQ(value(run.session, "select count(*) from checks where mode = 'repeat' and mismatches = 0"),
                  value(run.session, "select count(*) from calls"));
        EXPECT_EQ(value(run.session, "select count(*) from checks where mode = 'improve_precision'"),
                  value(run.session, "select count(*) from calls"));
        EXPECT_EQ(query(run.session, "select distinct count(*) from checks group by call_id"), (Rows{{"2"}}));
    }
}
INSTANTIATE_TEST_SUITE_P(Programs, Repeat,
                         testing::Values("calls", "in_place", "overwritten", "scattered", "threads", "graph",
                                         "graph_first"),
                         [](const auto& name) { return std::string(name.param); });

TEST(Repeats, ANondeterministicKernelIsFound) {
    Environment environment = modes("trace,repeat");
    environment["SOFTCUDA_FAULTS"] = faults("{function: cublasSgemm_v2, kind: nondeterministic, every: 1}");
    const Process run = execute(scenario("in_place", 8), environment);
    EXPECT_EQ(value(run.session,
                    "select count(*) from checks where mode = 'repeat' and verdict = 'fail' and "
                    "mismatches > 100 and reason like '%not reproducible%'"),
              "8")
        << run.err;
    EXPECT_EQ(value(run.session, "select fail from apis"), "8");
}

// One element wrong in one of the two runs alone: what a failing chip does.
TEST(Repeats, AFaultOfOneRunNamesItsElement) {
    Environment environment = modes("trace,repeat");
    environment["SOFTCUDA_FAULTS"] =
        faults("{function: cublasSgemm_v2, kind: one_element, nth: 9, seed: 3}");  // call 5's first run
    const Process run = execute(scenario("calls", 8), environment);
    EXPECT_EQ(query(run.session, "select call_id, mismatches from checks where verdict = 'fail'"),
              (Rows{{"5", "1"}}))
        << run.err;
}

// cublasLt: descriptors, epilogues, auxiliary outputs and separate C.
TEST(Repeats, EveryEpilogue) {
    const Process plain = execute({program("lt")}, {}, false);
    const Process run = execute({program("lt")}, modes("trace,repeat"));
    EXPECT_EQ(plain.out, run.out);
    EXPECT_EQ(value(run.session, "select count(*) from checks where mode = 'repeat' and verdict = 'pass'"),
              "13")
        << run.err;
}

// The calls of the program `families` that cannot be made a second time.
Rows never_made_again() {
    return {{"C behind an array of pointers is overwritten by the call", "1"},
            {"a second call: operands behind arrays of pointers", "2"},
            {"a second call: the result lies on the host", "1"},
            {"no reference for cublasStrsm_v2", "1"}};
}

TEST(Repeats, EveryFamily) {
    const Process plain = execute({program("families")}, {}, false);
    const Process run = execute({program("families")}, modes("trace,repeat"));
    EXPECT_EQ(plain.out, run.out);
    EXPECT_EQ(query(run.session, "select call_id, reason from checks where verdict <> 'pass'"), Rows{})
        << run.err;
    EXPECT_EQ(
        query(run.session, "select not_checked, count(*) from calls where not_checked <> '' group by 1"),
        never_made_again());
}

TEST(Repeats, NoRoomForASecondOutputIsAReason) {
    Environment environment = modes("trace,improve_precision,repeat");
    environment["FUMI_CONFIG"] = config_file("limits: {scratch: 280KiB}\n");
    const Process run = execute(scenario("calls", 3), environment);
    EXPECT_EQ(value(run.session, "select count(*) from checks"), "3") << run.err;
    environment["FUMI_MODE"] = "trace,repeat";
    const Process alone = execute(scenario("calls", 3), environment);
    EXPECT_EQ(value(alone.session, "select count(*) from calls where not_checked like '%second output%'"),
              "3")
        << alone.err;
}

// FUMI_REPEATS=10000 makes more, in runs that the session keeps pace with.
TEST(Repeats, ADeterministicKernelNeverDiffers) {
    constexpr int in_one_run = 250;
    const char* asked = std::getenv("FUMI_REPEATS");
    const int wanted = asked == nullptr ? in_one_run : std::atoi(asked);
    int repeats = 0;
    for (; repeats < wanted; repeats += in_one_run) {
        const Process run = execute(scenario("calls", in_one_run), modes("trace,repeat"));
        EXPECT_EQ(query(run.session, "select verdict, sum(mismatches), count(*) from checks group by 1"),
                  (Rows{{"pass", "0", std::to_string(in_one_run)}}))
            << run.err;
    }
    std::printf("%d calls made again, none differs\n", repeats);
}

class AddNoise : public testing::TestWithParam<const char*> {};

// The noisy calls change nothing of the program's, and on data without structure, where errors add up at
// random, the norm of the output moves by as much as those of the inputs.
TEST_P(AddNoise, LeavesTheProgramAloneAndMeasuresTheData) {
    const Process plain = execute(scenario(GetParam(), 12), {}, false);
    Environment environment = modes("trace,improve_precision,add_noise,repeat");
    environment["SOFTCUDA_SCHEDULE"] = "adversarial";
    const Process run = execute(scenario(GetParam(), 12), environment);
    EXPECT_EQ(run.out, plain.out);
    EXPECT_EQ(run.status, plain.status) << run.err;
    EXPECT_EQ(query(run.session, "select mode, reason from checks where verdict <> 'pass'"), Rows{})
        << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from checks where mode = 'add_noise'"),
              value(run.session, "select count(*) from calls"));
    EXPECT_EQ(query(run.session,
                    "select amplification, significant_digits, reason from checks where mode = 'add_noise' "
                    "and not (amplification between 0.4 and 2 and significant_digits between 5 and 7)"),
              Rows{});
}
INSTANTIATE_TEST_SUITE_P(Programs, AddNoise,
                         testing::Values("calls", "in_place", "overwritten", "scattered", "threads", "graph",
                                         "graph_first"),
                         [](const auto& name) { return std::string(name.param); });

TEST(AddsNoise, CancellingDataAreIllConditionedAndNoFault) {
    const Process run = execute(scenario("cancelling", 2), modes("trace,improve_precision,add_noise"));
    // The products of either half add up at random, and 2^-14 of them is left: 2^14 sqrt 2;
    // rounding the sums anew adds to it.
    EXPECT_EQ(query(run.session,
                    "select verdict, count(*) from checks where mode = 'add_noise' and amplification between "
                    "19000 and 40000 and significant_digits between 0.5 and 3.5 and reason like "
                    "'ill-conditioned data, whatever kernel%'"),
              (Rows{{"warn", "2"}}))
        << run.err;
    EXPECT_EQ(value(run.session,
                    "select count(*) from checks where mode = 'improve_precision' and verdict = 'pass'"),
              "2");
}

TEST(AddsNoise, EveryKindAndSeed) {
    std::string before;
    for (const char* noise : {"{kind: ulp}", "{kind: ulp, seed: 2}", "{kind: relative, size: 1e-5}",
                              "{kind: bits, bits: 3, samples: 3}", "{kind: fixed}"}) {
        Environment environment = modes("trace,add_noise");
        environment["FUMI_CONFIG"] = config_file(std::string("noise: ") + noise + "\n");
        const std::string asked = "select amplification from checks";
        const Process run = execute(scenario("calls", 1), environment);
        const std::string amplification = value(run.session, asked);
        EXPECT_GT(std::stod(amplification), 0.5) << noise << run.err;
        // Fixed noise has one sign, so that it adds up where the inputs do not.
        EXPECT_LT(std::stod(amplification), std::string(noise) == "{kind: fixed}" ? 8 : 2) << noise;
        EXPECT_NE(amplification, before) << noise;
        EXPECT_EQ(value(execute(scenario("calls", 1), environment).session, asked), amplification) << noise;
        before = amplification;
    }
}

TEST(AddsNoise, EveryFamilyAndEpilogue) {
    for (const char* name : {"families", "lt"}) {
        const Process plain = execute({program(name)}, {}, false);
        const Process run = execute({program(name)}, modes("trace,add_noise"));
        EXPECT_EQ(plain.out, run.out);
        EXPECT_EQ(query(run.session, "select call_id, reason from checks where verdict <> 'pass'"), Rows{})
            << run.err;
        EXPECT_EQ(
            query(run.session,
                  "select call_id, function, dtypes, amplification, reason from checks join calls using "
                  "(call_id) where coalesce(amplification, 0) not between 0.05 and 12"),
            Rows{});
    }
    const Process run = execute({program("families")}, modes("trace,add_noise"));
    EXPECT_EQ(
        query(run.session, "select not_checked, count(*) from calls where not_checked <> '' group by 1"),
        never_made_again());
}

TEST(AddsNoise, NoRoomForCopiesIsAReason) {
    Environment environment = modes("trace,add_noise");
    environment["FUMI_CONFIG"] = config_file("limits: {scratch: 300KiB}\n");
    const Process run = execute(scenario("calls", 3), environment);
    EXPECT_EQ(
        value(run.session, "select count(*) from calls where not_checked like '%copies of the inputs%'"), "3")
        << run.err;
}

class Checksum : public testing::TestWithParam<const char*> {};

TEST_P(Checksum, ACleanCallPasses) {
    const Process plain = execute(scenario(GetParam(), 12), {}, false);
    Environment environment = modes("trace,checksum");
    environment["FUMI_CONFIG"] = config_file("checksum: {columns: 16, vectors: 3}\n");
    environment["SOFTCUDA_SCHEDULE"] = "adversarial";
    const Process run = execute(scenario(GetParam(), 12), environment);
    EXPECT_EQ(run.out, plain.out);
    EXPECT_EQ(query(run.session, "select reason from checks where verdict <> 'pass'"), Rows{}) << run.err;
    EXPECT_EQ(value(run.session,
                    "select count(*) from checks where mode = 'checksum' and reason like "
                    "'sums of columns within%'"),
              value(run.session, "select count(*) from calls"));
}
INSTANTIATE_TEST_SUITE_P(Programs, Checksum,
                         testing::Values("in_place", "overwritten", "scattered", "threads", "graph"),
                         [](const auto& name) { return std::string(name.param); });

class ChecksumFaults : public testing::TestWithParam<const char*> {};

TEST_P(ChecksumFaults, AreFoundInTheirCallAndNoOther) {
    Environment environment = modes("trace,checksum");
    environment["SOFTCUDA_FAULTS"] =
        faults(std::string("{function: cublasSgemm_v2, kind: ") + GetParam() + ", nth: 7, seed: 1}");
    const Process run = execute(scenario("in_place", 12), environment);
    EXPECT_EQ(query(run.session, "select call_id from checks where verdict = 'fail'"), (Rows{{"7"}}))
        << GetParam() << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from checks where verdict = 'pass'"), "11");
}
INSTANTIATE_TEST_SUITE_P(Kinds, ChecksumFaults,
                         testing::Values("round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate",
                                         "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
                                         "negate_row", "stale_output", "swap_columns"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(Checksums, EveryFamilyAndEpilogue) {
    for (const char* name : {"families", "lt"}) {
        const Process plain = execute({program(name)}, {}, false);
        const Process run = execute({program(name)}, modes("trace,checksum"));
        EXPECT_EQ(plain.out, run.out);
        EXPECT_EQ(query(run.session, "select call_id, reason from checks where verdict <> 'pass'"), Rows{})
            << run.err;
        EXPECT_EQ(value(run.session,
                        "select count(*) from calls where not_checked = '' and call_id not in (select "
                        "call_id from checks)"),
                  "0");
    }
    const Process run = execute({program("lt")}, modes("trace,checksum"));
    EXPECT_EQ(
        value(run.session, "select count(*) from checks where reason like '%the epilogue is not linear%'"),
        "6");
}

TEST(Profiles, TheDefaultChecksEveryCallAndSomeExactly) {
    const std::string no_budget = config_file("limits: {overhead: 0%}\n");
    const Process run = execute(scenario("calls", 17), {{"FUMI_MODE", ""}, {"FUMI_CONFIG", no_budget}});
    EXPECT_EQ(query(run.session, "select mode, coverage, verdict, count(*) from checks group by 1, 2, 3"),
              (Rows{{"checksum", "full", "pass", "17"}, {"improve_precision", "full", "pass", "3"}}))
        << run.err;
    const Process thorough = execute(scenario("calls", 8), {{"FUMI_MODE", ""}, {"FUMI_PROFILE", "thorough"}});
    EXPECT_EQ(query(thorough.session, "select mode, count(*) from checks where verdict = 'pass' group by 1"),
              (Rows{{"checksum", "8"}, {"improve_precision", "8"}, {"repeat", "8"}}))
        << thorough.err;
}

// A full check is 4 of its call: with 100% to spend, every 4th call of a site is checked at most, and the
// first of each always; what the device takes for them is measured.
TEST(Overhead, ChecksAreThinnedOutAtEachSite) {
    Environment environment = modes("trace,improve_precision");
    environment["FUMI_CONFIG"] = config_file("limits: {overhead: 100%}\n");
    const Process run = execute(scenario("calls", 12), environment);
    EXPECT_EQ(value(run.session, "select min(call_id) from checks"), "1") << run.err;
    EXPECT_EQ(value(run.session, "select count(*) from checks where call_id not in (1, 5, 9)"), "0");
    EXPECT_EQ(value(run.session,
                    "select count(*) from calls where not_checked = 'not chosen: limits.overhead in the "
                    "configuration' and call_id not in (select call_id from checks)"),
              value(run.session, "select 12 - count(*) from checks"));
    EXPECT_EQ(value(run.session, "select value > 0 from session where key = 'device_overhead_ns'"), "1");
    const Process families = execute({program("families")}, environment);
    EXPECT_EQ(value(families.session, "select count(*) > 10 from checks"), "1") << families.err;
}

// Limits of one's own and the Python FuMi's: a row beside the verdict, which they change where that is asked.
TEST(Thresholds, StandBesideTheVerdict) {
    Environment environment = modes("trace,improve_precision");
    environment["FUMI_CONFIG"] =
        config_file("thresholds: {absolute: [fp32=1e-9, bf16=1], relative: 0.5, measures: fumi}\n");
    const Process run = execute(scenario("calls", 3), environment);
    EXPECT_EQ(query(run.session, "select mode, verdict, count(*) from checks group by 1, 2"),
              (Rows{{"improve_precision", "pass", "3"}, {"thresholds", "", "3"}}))
        << run.err;
    EXPECT_EQ(
        value(run.session,
              "select count(*) from checks where reason like 'over a limit: |e| % of 1e-09; |e| / |R| %"
              " of 0.5; FuMi''s |a - b| / |a + b| % of 0.0001; norm ratios 1% (1) and 1% (infinity)' or "
              "reason like '%norm ratios 0.999999%'"),
        "3")
        << value(run.session, "select reason from checks where mode = 'thresholds' limit 1");
    EXPECT_EQ(value(run.session, "select pass from apis"), "3");
    for (const char* name : {"accumulating", "norm"}) {
        const Process cudnn = execute({program("dnn"), name, "2"}, environment);
        EXPECT_EQ(value(cudnn.session,
                        "select count(*) > 1 and count(*) = sum(reason like '%norm ratios 1%' or reason like "
                        "'%norm ratios 0.99999%') from checks where mode = 'thresholds'"),
                  "1")
            << value(cudnn.session, "select group_concat(reason) from checks where mode = 'thresholds'");
    }
    environment["FUMI_CONFIG"] = config_file("thresholds: {bound: 1e-6, decide: true}\n");
    const Process decided = execute(scenario("graph", 3), environment);
    EXPECT_EQ(value(decided.session,
                    "select count(*) = sum(verdict = 'fail') from checks where mode = 'thresholds'"),
              "1")
        << decided.err;
    EXPECT_EQ(value(decided.session, "select fail = calls from apis"), "1");
}

}  // namespace
}  // namespace fumi::test
