// fumi run: what the program is given, what becomes of its status and signals, and the summary. The libraries
// are stand-ins found through FUMI_LIB_DIR, for which any library that loads will do.
#include <gtest/gtest.h>

#include "tests/session/cli.h"

namespace fumi::session {
namespace {

class CliRun : public testing::Test {
  protected:
    void SetUp() override {
        const auto made = shell(scratch,
                                "mkdir lib && for n in libfumi_cupti libsoftcuda; do "
                                "echo 'int fumi_stand_in;' | cc -shared -x c - -o lib/$n.so; done");
        ASSERT_EQ(made.status, 0) << made.err;
    }
    Result run(const std::string& command) const {
        return shell(scratch, "export FUMI_LIB_DIR='" + scratch.path() + "/lib'; " + command);
    }
    const ScratchDirectory scratch;
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(CliRun, TheProgramFindsItsEnvironment) {
    const Result result = run(
        "mkdir sub; export LD_PRELOAD=; export PYTHONPATH=/mine; echo 'torch.*' >apis.txt; echo 'modes: "
        "[trace]' >c.yaml; "
        "$FUMI run -o sub/a.fumi -c c.yaml --mode trace --coverage sampled --apis apis.txt --device soft -- "
        "sh -c 'echo $CUDA_INJECTION64_PATH; echo $FUMI_OUTPUT; echo $FUMI_CONFIG; echo $FUMI_MODE; "
        "echo $FUMI_COVERAGE; echo $FUMI_APIS; echo $PYTHONPATH; echo \"$LD_PRELOAD\"; echo \"$0|$1|$2\"' a "
        "-- 'b c'");
    EXPECT_EQ(result.status, 0) << result.err;
    const std::string& at = scratch.path();
    const std::string before_preload = at + "/lib/libfumi_cupti.so\n" + at + "/sub/a.fumi\n" + at +
                                       "/c.yaml\ntrace\nsampled\n" + at + "/apis.txt\n/mine\n";
    EXPECT_EQ(result.out.substr(0, before_preload.size()), before_preload);
    EXPECT_TRUE(has(result.out, at + "/lib/libsoftcuda.so\na|--|b c\n")) << result.out;
}

TEST_F(CliRun, AnExistingPreloadComesFirst) {
    const Result result = run("LD_PRELOAD=libm.so.6 $FUMI run --device soft -- sh -c 'echo $LD_PRELOAD'");
    EXPECT_TRUE(has(result.out, "libm.so.6:" + scratch.path() + "/lib/libsoftcuda.so\n")) << result.out;
}

TEST_F(CliRun, ModeOffInjectsNothing) {
    const Result result =
        run("$FUMI run --mode off --device soft -- sh -c 'echo "
            "\"[$CUDA_INJECTION64_PATH$FUMI_OUTPUT]$LD_PRELOAD\"; exit 4'");
    EXPECT_EQ(result.status, 4);
    EXPECT_EQ(result.out.substr(0, 2), "[]");
    EXPECT_TRUE(has(result.out, "libsoftcuda.so"));
    EXPECT_FALSE(has(result.err, "session")) << result.err;
}

TEST_F(CliRun, TheStatusIsThePrograms) {
    EXPECT_EQ(run("$FUMI run --device soft -- sh -c 'exit 0'").status, 0);
    EXPECT_EQ(run("$FUMI run --device soft -- sh -c 'exit 7'").status, 7);
    EXPECT_EQ(run("$FUMI run --device soft -- sh -c 'kill -9 $$'").status, 137);
    const Result missing = run("$FUMI run --device soft -- no-such-program x");
    EXPECT_EQ(missing.status, 127);
    EXPECT_TRUE(has(missing.err, "no-such-program cannot be started: No such file")) << missing.err;
    EXPECT_EQ(run("touch plain; $FUMI run --device soft -- ./plain").status, 126);
}

TEST_F(CliRun, SignalsReachTheProgram) {
    for (const char* signal : {"TERM", "INT", "USR1", "HUP"}) {
        const Result result = run("env --default-signal $FUMI run --device soft -- sh -c 'trap \"exit 42\" " +
                                  std::string(signal) +
                                  "; touch ready; while :; do sleep 0.05; done' & fumi=$!; "
                                  "for i in $(seq 200); do [ -e ready ] && break; sleep 0.05; done; kill -" +
                                  signal + " $fumi; wait $fumi");
        EXPECT_EQ(result.status, 42) << signal << "\n" << result.err;
        std::filesystem::remove(scratch.file("ready"));
    }
}

TEST_F(CliRun, TheSummaryNamesWhatAnEngineerNeeds) {
    const Result result = run("$FUMI run -o a.fumi --device soft -- sh -c '$SAMPLE \"\" mixed; echo output'");
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "output\n") << "the program's output is its own";
    for (const char* part :
         {"FuMi: a.fumi", "softcuda (software device)", "wall time",
          "5 seen, 4 checked (80.0%), 1 not checked", "1  not checked: scratch ceiling of 256MiB",
          "2 pass   1 warn   1 fail", "fail  torch.nn.functional.linear forward  train.py:31",
          "in blocks.0.mlp.fc1 (Linear)",
          "eta 120 u, bound 10 u (12.1 times over)   kappa 25   effective bits 21.2",
          "call 2: cublasLtMatmul  m=64 n=128 k=64 batch=1 TN  f32,f32,f32,f32  gemm_tn",
          "3 elements over their bound",
          "cause: the kernel, not the data: eta is 12.1 times its bound (kappa up to 25)",
          "cause: what the kernel promises, not the data: eta 9.5 u is within its bound of 10 u",
          "next: start at train.py:31", "fumi report a.fumi"})
        EXPECT_TRUE(has(result.err, part)) << part << "\n" << result.err;
    EXPECT_FALSE(has(result.err, "\x1b[")) << "no colours in a file";
    EXPECT_FALSE(has(run("$FUMI run -q -o a.fumi --device soft -- $SAMPLE").err, "verdicts"));
}

TEST_F(CliRun, FailOnTurnsVerdictsIntoTheStatus) {
    const std::string run_sample = "$FUMI run -o a.fumi --device soft ";
    EXPECT_EQ(run(run_sample + "--fail-on fail -- $SAMPLE").status, 3);
    EXPECT_EQ(run(run_sample + "--fail-on warn -- $SAMPLE").status, 3);
    EXPECT_EQ(run(run_sample + "--fail-on warn -- $SAMPLE '' pass").status, 0);
    EXPECT_EQ(run(run_sample + "--fail-on fail -- sh -c '$SAMPLE; exit 9'").status, 9)
        << "the program's own failure goes first";
    EXPECT_EQ(run("echo 'fail_on: fail' >c.yaml; " + run_sample + "-c c.yaml -- $SAMPLE").status, 3);
    EXPECT_EQ(run(run_sample + "-c c.yaml --fail-on none -- $SAMPLE").status, 0);
    const Result unchecked = run(run_sample + "--fail-on fail -- $SAMPLE '' unchecked");
    EXPECT_EQ(unchecked.status, 0);
    EXPECT_TRUE(has(unchecked.err, "nothing was checked, so nothing could fail")) << unchecked.err;
}

TEST_F(CliRun, EveryProcessOfAJobIsSummarised) {
    const Result named = run("$FUMI run -o a.fumi --device soft -- sh -c '$SAMPLE \"\" pass; $SAMPLE'");
    EXPECT_TRUE(has(named.err, "FuMi: a.fumi\n")) << named.err;
    EXPECT_TRUE(has(named.err, "4 pass   0 warn   0 fail")) << named.err;
    EXPECT_TRUE(has(named.err, "2 pass   1 warn   1 fail")) << named.err;
    const Result numbered =
        run("rm -f *.fumi; $FUMI run -o 'b-%p.fumi' --device soft -- sh -c '$SAMPLE \"\" pass; $SAMPLE'; ls "
            "b-*.fumi | wc -l");
    EXPECT_TRUE(has(numbered.out, "2\n")) << numbered.out;
    EXPECT_TRUE(has(numbered.err, "4 pass   0 warn   0 fail") &&
                has(numbered.err, "2 pass   1 warn   1 fail"))
        << numbered.err;
}

TEST_F(CliRun, ABadConfigIsReportedAndTheProgramRuns) {
    const Result result =
        run("printf 'mods: [trace]\\n' >c.yaml; $FUMI run -c c.yaml -o a.fumi --device soft -- sh -c "
            "'$SAMPLE; echo ran; exit 5'");
    EXPECT_EQ(result.status, 5);
    EXPECT_EQ(result.out, "ran\n");
    EXPECT_TRUE(has(result.err, "c.yaml:1:1: unknown key 'mods'; did you mean 'modes'?")) << result.err;
    EXPECT_TRUE(has(result.err, "runs with the defaults")) << result.err;
    EXPECT_EQ(run("$FUMI run -c lost.yaml --device soft -- sh -c 'exit 6'").status, 6);
}

TEST_F(CliRun, AKilledProgramLeavesOneFileAndASummary) {
    const Result result = run("$FUMI run -o a.fumi --device soft -- $SAMPLE '' killed; echo $?; ls a.fumi*");
    EXPECT_EQ(result.out, "137\na.fumi\n") << "the log is folded into the file";
    EXPECT_TRUE(has(result.err, "the program was killed or crashed")) << result.err;
    EXPECT_TRUE(has(result.err, "2 pass   1 warn   1 fail")) << result.err;
}

TEST_F(CliRun, NoSessionIsSaidOnce) {
    const Result result = run("$FUMI run -o a.fumi --device soft -- true");
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.err.find("no session was written"), result.err.rfind("no session was written"));
    EXPECT_TRUE(has(result.err, "no session was written")) << result.err;
}

TEST_F(CliRun, SomebodysOtherFileIsNeverReplaced) {
    const Result result =
        run("echo 'print(1)' >train.py; $FUMI run -o train.py --device soft -- touch started; cat train.py; "
            "ls started");
    EXPECT_TRUE(has(result.out, "print(1)")) << result.out;
    EXPECT_FALSE(has(result.out, "started"));
    EXPECT_TRUE(has(result.err, "is not a FuMi session; it is left alone")) << result.err;
}

TEST_F(CliRun, TheCommandOfAVirtualEnvironmentFindsItsLibraries) {
    const Result result =
        run("mkdir -p venv/bin venv/lib/python3.12/site-packages/fumi && cp \"$FUMI\" venv/bin/ && "
            "mv lib venv/lib/python3.12/site-packages/fumi/ && unset FUMI_LIB_DIR && "
            "venv/bin/fumi run --device soft -- sh -c 'echo $CUDA_INJECTION64_PATH'");
    EXPECT_EQ(result.out, scratch.path() + "/venv/lib/python3.12/site-packages/fumi/lib/libfumi_cupti.so\n")
        << result.err;
}

TEST_F(CliRun, AnIncompleteInstallationStopsBeforeTheProgram) {
    // The build's own lib directory may hold the libraries: a copy of the command elsewhere has none beside
    // it.
    const Result result =
        run("mkdir -p other/bin && cp \"$FUMI\" other/bin/ && unset FUMI_LIB_DIR && other/bin/fumi run "
            "--device soft -- touch started; "
            "echo $?; ls started");
    EXPECT_EQ(result.out, "2\n");
    EXPECT_TRUE(has(result.err, "libsoftcuda.so is not found in")) << result.err;
}

}  // namespace
}  // namespace fumi::session
