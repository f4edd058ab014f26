// Every fault of a config is found, each with its line, its column and the nearest valid name.
#include <gtest/gtest.h>

#include "config/config.h"

namespace fumi::config {
namespace {

std::vector<std::string> faults_of(const std::string& text, const std::string& file = "train.yaml") {
    std::vector<Fault> faults;
    parse(text, file, &faults);
    std::vector<std::string> texts;
    for (const Fault& fault : faults) texts.push_back(fault.text());
    return texts;
}

using Texts = std::vector<std::string>;

TEST(Config, EveryKeyIsRead) {
    std::vector<Fault> faults;
    const Config config = parse(R"(
modes: [improve_precision]
improve_precision: {coverage: sampled, sample_rows: 32, sample_columns: 16, every: 10}
limits:
  scratch: 1.5GiB
  overhead: 3%
  operations: 7%
  calls: 1000
  flush: 500ms
functions: [cublas*gemm*, cublasLtMatmul]
output: out/%p.fumi
output_dir: /tmp
layer_type: check
operations: forward
fail_on: warn
follow_fork: true
kernel_names: false
)",
                                "train.yaml", &faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_EQ(config.modes, std::vector<Mode>{Mode::improve_precision});
    EXPECT_FALSE(config.has(Mode::trace));
    EXPECT_EQ(config.improve_precision.coverage, Coverage::sampled);
    EXPECT_EQ(config.improve_precision.sample_rows, 32);
    EXPECT_EQ(config.improve_precision.sample_columns, 16);
    EXPECT_EQ(config.improve_precision.every, 10);
    EXPECT_EQ(config.limits.scratch_bytes, 1610612736);
    EXPECT_DOUBLE_EQ(config.limits.overhead, 0.03);
    EXPECT_DOUBLE_EQ(config.limits.operations, 0.07);
    EXPECT_EQ(config.limits.max_calls, 1000);
    EXPECT_DOUBLE_EQ(config.limits.flush_seconds, 0.5);
    EXPECT_EQ(config.functions, (Texts{"cublas*gemm*", "cublasLtMatmul"}));
    EXPECT_EQ(config.output, "out/%p.fumi");
    EXPECT_EQ(config.output_dir, "/tmp");
    EXPECT_EQ(config.layer_type, "check");
    EXPECT_TRUE(config.operations);
    EXPECT_TRUE(config.forward_only);
    EXPECT_EQ(config.fail_on, Severity::warn);
    EXPECT_TRUE(config.follow_fork);
    EXPECT_FALSE(config.kernel_names);
}

TEST(Config, UnknownKeysNameTheNearest) {
    EXPECT_EQ(faults_of("# a comment\n\nmods: [trace]\n"),
              Texts{"train.yaml:3:1: unknown key 'mods'; did you mean 'modes'?"});
    EXPECT_EQ(faults_of("limits:\n  scratc: 1MiB\n"),
              Texts{"train.yaml:2:3: unknown key 'scratc' in 'limits'; did you mean 'scratch'?"});
    EXPECT_EQ(faults_of("limits:\n  wibblewobble: 1\n"),
              Texts{"train.yaml:2:3: unknown key 'wibblewobble' in 'limits'; the valid names are scratch, "
                    "overhead, operations, calls and flush"});
}

TEST(Config, AKeyInTheWrongPlaceIsSentToTheRightOne) {
    EXPECT_EQ(faults_of("scratch: 1MiB\n"),
              Texts{"train.yaml:1:1: unknown key 'scratch'; it belongs in 'limits'"});
    EXPECT_EQ(faults_of("limits: {output: a}\n"),
              Texts{"train.yaml:1:10: unknown key 'output' in 'limits'; it belongs to the top level"});
}

TEST(Config, AllFaultsAreFoundAndGoodKeysKept) {
    std::vector<Fault> faults;
    const Config config = parse(
        "modes: [trace, imprve_precision]\n"
        "limits:\n"
        "  scratch: 256Mib!\n"
        "  overhead: 300%\n"
        "  flush: 5 parsecs\n"
        "  calls: -1\n"
        "improve_precision:\n"
        "  coverage: sampled\n"
        "  every: 0\n"
        "fail_on: fial\n"
        "follow_fork: maybe\n",
        "t.yaml", &faults);
    Texts texts;
    for (const Fault& fault : faults) texts.push_back(fault.text());
    EXPECT_EQ(
        texts,
        (Texts{
            "t.yaml:1:16: mode: 'imprve_precision' is not a value of it; did you mean 'improve_precision'?",
            "t.yaml:3:12: scratch: '256Mib!' is not a size such as 256MiB",
            "t.yaml:4:13: overhead: '300%' is not a share such as 3%",
            "t.yaml:5:10: flush: '5 parsecs' is not a duration such as 500ms or 1s",
            "t.yaml:6:10: calls: '-1' is not a whole number, 0 or more",
            "t.yaml:9:10: every: '0' is not a whole number, 1 or more",
            "t.yaml:10:10: fail_on: 'fial' is not a value of it; did you mean 'fail'?",
            "t.yaml:11:14: follow_fork: 'maybe' is not true or false",
        }));
    const Config defaults;
    EXPECT_EQ(config.modes, defaults.modes);
    EXPECT_EQ(config.limits.scratch_bytes, defaults.limits.scratch_bytes);
    EXPECT_EQ(config.improve_precision.coverage, Coverage::sampled);
    EXPECT_EQ(config.improve_precision.every, 1);
}

TEST(Config, FunctionsAreComparedUnderAProfileOrWhereNamed) {
    std::vector<Fault> faults;
    EXPECT_TRUE(parse("profile: quick\n", "train.yaml", &faults).compares_functions());
    EXPECT_FALSE(parse("modes: [trace]\n", "train.yaml", &faults).compares_functions());
    EXPECT_TRUE(parse("modes: [custom_function]\n", "train.yaml", &faults).compares_functions());
    EXPECT_TRUE(faults.empty());
}

TEST(Config, NoiseHasKindsAndLimits) {
    std::vector<Fault> faults;
    const Config config = parse(
        "modes: add_noise\nnoise: {kind: relative, samples: 9, size: 1e-5, bits: 3, seed: 0, every: 4}\n",
        "t.yaml", &faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_EQ(config.modes, std::vector<Mode>{Mode::add_noise});
    EXPECT_EQ(config.noise.kind, NoiseKind::relative);
    EXPECT_EQ(config.noise.samples, 9);
    EXPECT_EQ(config.noise.size, 1e-5);
    EXPECT_EQ(config.noise.seed, 0);
    EXPECT_EQ(print(parse(print(config), "t.yaml", &faults)), print(config));
    EXPECT_EQ(parse("noise: {size: u}\n", "t.yaml", &faults).noise.size, 0);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_EQ(
        faults_of("noise:\n  kind: relativ\n  samples: 31\n  size: 0\n  sise: 1\n"),
        (Texts{"train.yaml:2:9: kind: 'relativ' is not a value of it; did you mean 'relative'?",
               "train.yaml:3:12: samples: '31' is not a whole number, 2 to 30",
               "train.yaml:4:9: size: '0' is not u (the unit roundoff of the type) or a number such as 1e-6, "
               "above 0 and below 1",
               "train.yaml:5:3: unknown key 'sise' in 'noise'; did you mean 'size'?"}));
}

TEST(Config, AProfileSetsWhatNoKeyNames) {
    std::vector<Fault> faults;
    const auto read = [&](const char* text, const Beside& beside = {}) {
        return parse(text, "t.yaml", &faults, beside);
    };
    EXPECT_EQ(read("").profile, "always_on");
    EXPECT_EQ(read("").improve_precision.every, 8);
    EXPECT_TRUE(read("improve_precision: {every: 3}").has(Mode::checksum));
    EXPECT_EQ(read("repeat: {every: 3}\nprofile: thorough").repeat.every, 3);
    EXPECT_EQ(read("profile: thorough").improve_precision.coverage, Coverage::full);
    EXPECT_EQ(read("profile: paranoid").checksum.columns, 16);
    EXPECT_FALSE(read("profile: quick\nmodes: [trace]").has(Mode::checksum));
    EXPECT_EQ(read("modes: [improve_precision]").improve_precision.coverage, Coverage::full);
    EXPECT_EQ(read("modes: [improve_precision]").improve_precision.every, 1);
    EXPECT_EQ(read("profile: quick", {"thorough", false}).profile, "thorough");
    EXPECT_EQ(read("", {"", true}).improve_precision.every, 1);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_EQ(faults_of("profile: thorogh\n"),
              Texts{"train.yaml:1:10: profile: 'thorogh' is not a value of it; did you mean 'thorough'?"});
    EXPECT_EQ(faults_of("checksum: {vectors: 5}\n"),
              Texts{"train.yaml:1:21: vectors: '5' is not a whole number, 1 to 4"});
}

TEST(Config, ThresholdsAreForATypeOrForAll) {
    std::vector<Fault> faults;
    const Config config = parse(
        "thresholds: {bound: 0.5, absolute: 1e-3, relative: [fp32=1e-5, 0.25, bf16=0], measures: fumi, "
        "decide: yes}\n",
        "t.yaml", &faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    const Thresholds& t = config.thresholds;
    EXPECT_TRUE(t.any() && t.fumi && t.decide);
    EXPECT_EQ(t.bound, 0.5);
    ASSERT_EQ(t.absolute.size(), 1U);
    EXPECT_EQ(t.absolute[0].type, "");
    ASSERT_EQ(t.relative.size(), 3U);
    EXPECT_EQ(t.relative[0].type, "fp32");
    EXPECT_EQ(t.relative[0].limit, 1e-5);
    EXPECT_EQ(t.relative[1].type, "");
    EXPECT_EQ(t.relative[2].limit, 0);
    EXPECT_EQ(print(parse(print(config), "t.yaml", &faults)), print(config));
    EXPECT_FALSE(Config{}.thresholds.any());
    EXPECT_EQ(faults_of("thresholds:\n  relative: [pf32=1e-5, fp16=-1]\n  measures: fumy\n  bond: 1\n"),
              (Texts{"train.yaml:2:14: relative: 'pf32' is not a value of it; did you mean 'fp32'?",
                     "train.yaml:2:25: relative: '-1' is not a number such as 1e-5, 0 or more",
                     "train.yaml:3:13: measures: 'fumy' is not a value of it; did you mean 'fumi'?",
                     "train.yaml:4:3: unknown key 'bond' in 'thresholds'; did you mean 'bound'?"}));
}

TEST(Config, OffStandsAlone) {
    std::vector<Fault> faults;
    EXPECT_TRUE(parse("modes: off\n", "t.yaml", &faults).modes.empty());
    EXPECT_TRUE(faults.empty());
    EXPECT_EQ(faults_of("modes: [trace, off]\n"),
              Texts{"train.yaml:1:16: mode 'off' stands alone: with it nothing is intercepted"});
}

TEST(Config, WrongShapesAreFaults) {
    EXPECT_EQ(faults_of("- a\n- b\n"), Texts{"train.yaml:1:1: the config must be a map of keys and values"});
    EXPECT_EQ(faults_of("limits: 3\n"), Texts{"train.yaml:1:9: 'limits' must be a map of keys and values"});
    EXPECT_EQ(faults_of("output: [a]\n"), Texts{"train.yaml:1:9: output needs one value"});
    EXPECT_EQ(faults_of("output:\n"), Texts{"train.yaml:1:1: output needs one value"});
    EXPECT_EQ(faults_of("modes: {a: b}\n"), Texts{"train.yaml:1:8: modes needs a list of names"});
    EXPECT_EQ(faults_of("output: a\nfail_on: warn\noutput: b\n"),
              Texts{"train.yaml:3:1: key 'output' stands here twice"});
    EXPECT_TRUE(faults_of("").empty());
    EXPECT_TRUE(faults_of("limits:\n  # calls: 1\n").empty());
}

TEST(Config, BrokenYamlHasAPlace) {
    const Texts texts = faults_of("modes: [trace\noutput: a\n");
    ASSERT_EQ(texts.size(), 1U);
    EXPECT_EQ(texts[0].rfind("train.yaml:2:7: not YAML: ", 0), 0U) << texts[0];
}

TEST(Config, TheDefaultFileGivesTheBuiltInDefaults) {
    std::vector<Fault> faults;
    const Config config = load(FUMI_DEFAULT_YAML, &faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    Config defaults;
    defaults.profile = "always_on";
    EXPECT_EQ(print(config), print(defaults));
}

TEST(Config, WhatIsPrintedReadsBackAsTheSame) {
    std::vector<Fault> faults;
    const Config config = parse(
        "modes: trace\nlimits: {scratch: 3KiB, overhead: 2.5%, flush: 250ms}\noutput: 'a \"b\"'\n"
        "functions: [x*, y]\noperations: forward\nfail_on: fail\n",
        "t.yaml", &faults);
    const std::string text = print(config);
    EXPECT_EQ(print(parse(text, "t.yaml", &faults)), text);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_NE(text.find("scratch: 3KiB\n  overhead: 2.5%\n  operations: 0%"), std::string::npos) << text;
}

}  // namespace
}  // namespace fumi::config
