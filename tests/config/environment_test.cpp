// The other forms of a config: config.env, API lists, the environment; and where the session goes.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "config/api_list.h"
#include "config/config.h"

namespace fumi::config {
namespace {

using Texts = std::vector<std::string>;
namespace fs = std::filesystem;

class Environment : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "fumi-test-XXXXXX").string();
        directory = mkdtemp(pattern.data());
        for (const char* name : names) unsetenv(name);
    }
    void TearDown() override {
        fs::remove_all(directory);
        for (const char* name : names) unsetenv(name);
    }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(directory + "/" + name) << text;
        return directory + "/" + name;
    }
    static Texts texts(const std::vector<Fault>& faults) {
        Texts result;
        for (const Fault& fault : faults) result.push_back(fault.text());
        return result;
    }
    std::string directory;
    const std::vector<const char*> names = {"FUMI_CONFIG",   "FUMI_MODE",     "FUMI_OUTPUT",    "FUMI_APIS",
                                            "FUMI_COVERAGE", "FUMI_LAUNCHED", "FUMI_OPERATIONS"};
};

TEST_F(Environment, ConfigEnvIsUnderstood) {
    std::vector<Fault> faults;
    const Config config = parse(
        "# FuMi\nPERTURBATION_MODE=improve_precision\nexport output_dir='my out' \nlayer_type=check # c\n",
        "config.env", &faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_TRUE(config.has(Mode::trace));
    EXPECT_TRUE(config.has(Mode::improve_precision));
    EXPECT_EQ(config.output_dir, "my out");
    EXPECT_EQ(config.layer_type, "check");
}

TEST_F(Environment, ConfigEnvFaultsHaveAPlace) {
    std::vector<Fault> faults;
    EXPECT_EQ(parse("perturbation_mode=add_noise\n", "config.env", &faults).modes,
              (std::vector<Mode>{Mode::trace, Mode::add_noise}));
    EXPECT_EQ(parse("perturbation_mode=custom_function\nlayer_type=check\n", "config.env", &faults).modes,
              (std::vector<Mode>{Mode::trace, Mode::custom_function}));
    EXPECT_TRUE(faults.empty());
    parse("perturbation_mode=custom_functoin\noutput_dri=x\nnonsense\n  layer_type = all\noutput_dir=\"a\n",
          "config.env", &faults);
    EXPECT_EQ(texts(faults),
              (Texts{"config.env:1:19: mode: 'custom_functoin' is not a value of it; did you mean "
                     "'custom_function'?",
                     "config.env:2:1: unknown key 'output_dri'; did you mean 'output_dir'?",
                     "config.env:3:1: not KEY=VALUE",
                     "config.env:4:16: layer_type: 'all' is not there yet: this version has check",
                     "config.env:5:1: the quote is not closed"}));
}

TEST_F(Environment, ApiListsTakeCommentsAndGlobs) {
    std::vector<Fault> faults;
    const auto apis =
        parse_api_list("# mine\n\ntorch.mm # all of it\n  torch.linalg.*\r\n", "a.txt", &faults);
    EXPECT_EQ(apis, (Texts{"torch.mm", "torch.linalg.*"}));
    EXPECT_TRUE(chosen(apis, "torch.linalg.inv"));
    EXPECT_FALSE(chosen(apis, "torch.bmm"));
    EXPECT_TRUE(chosen({}, "anything"));
    faults.clear();
    parse_api_list("torch.mm\n  rm -rf\n", "a.txt", &faults);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(faults[0].line, 2);
    EXPECT_EQ(faults[0].column, 3);
}

TEST_F(Environment, UnknownApisNameTheNearest) {
    std::vector<Fault> faults;
    parse_api_list("torch.nn.functional.linaer\ntorch.zzz.*\n", "a.txt", &faults);
    ASSERT_EQ(faults.size(), 2U);
    EXPECT_EQ(
        faults[0].text(),
        "a.txt:1:1: unknown API 'torch.nn.functional.linaer'; did you mean 'torch.nn.functional.linear'?");
    EXPECT_EQ(faults[1].text().rfind("a.txt:2:1: no API matches 'torch.zzz.*'", 0), 0U);
}

TEST_F(Environment, OtherNamesOfAnApiMeanTheSame) {
    std::vector<Fault> faults;
    EXPECT_EQ(parse_api_list("torch.Tensor.mm\n", "a.txt", &faults), Texts{"torch.mm"});
    EXPECT_EQ(parse("apis: [torch.Tensor.mm, torch.linalg.*]\n", "a.yaml", &faults).apis,
              (Texts{"torch.mm", "torch.linalg.*"}));
    EXPECT_EQ(parse_api_list("aten::softmax\naten::add.Tensor\n", "a.txt", &faults),
              (Texts{"torch.nn.functional.softmax", "torch.add"}));
    EXPECT_TRUE(faults.empty()) << faults[0].text();
}

TEST_F(Environment, GlobsMatchEveryNameOfAnApi) {
    std::vector<Fault> faults;
    EXPECT_EQ(parse_api_list("torch.Tensor.softma?  # no API's own name\n", "a.txt", &faults),
              Texts{"torch.nn.functional.softmax"});
    EXPECT_TRUE(chosen(parse_api_list("torch.nn.functional.*\n", "a.txt", &faults), "torch.tanh"))
        << "its name there is torch.nn.functional.tanh";
    EXPECT_EQ(parse("apis: ['aten::log_soft*', 'torch.*softmax']\n", "a.yaml", &faults).apis,
              (Texts{"torch.nn.functional.log_softmax", "torch.*softmax"}));
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    parse_api_list("torch.frobnicate\naten::softmx\ntorch.Tensor.zz*\n", "a.txt", &faults);
    ASSERT_EQ(faults.size(), 3U);
    EXPECT_EQ(faults[1].text(), "a.txt:2:1: unknown API 'aten::softmx'; did you mean 'aten::softmax'?");
}

TEST_F(Environment, AConfigMayNameAListBesideIt) {
    write("list.txt", "torch.mm\n");
    std::vector<Fault> faults;
    EXPECT_EQ(load(write("c.yaml", "apis: list.txt\n"), &faults).apis, Texts{"torch.mm"});
    EXPECT_TRUE(faults.empty());
    load(write("d.yaml", "apis: lost.txt\n"), &faults);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(faults[0].line, 1);
    EXPECT_EQ(faults[0].column, 7);
}

TEST_F(Environment, AMissingFileIsAFaultThatNamesASibling) {
    const std::string there = write("train.yaml", "");
    std::vector<Fault> faults;
    load(directory + "/trian.yaml", &faults);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(
        faults[0].text(),
        directory + "/trian.yaml: cannot be read: No such file or directory; did you mean '" + there + "'?");
    faults.clear();
    load(directory, &faults);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(faults[0].message, "is a directory, not a file");
}

TEST_F(Environment, VariablesWinOverTheFile) {
    setenv("FUMI_CONFIG",
           write("c.yaml", "modes: [trace]\noutput: a.fumi\noutput_dir: d\nfail_on: warn\n").c_str(), 1);
    std::vector<Fault> faults;
    Config config = from_environment(&faults);
    EXPECT_EQ(config.modes, std::vector<Mode>{Mode::trace});
    EXPECT_EQ(session_path(config, 7), "d/a.fumi");
    setenv("FUMI_MODE", "trace, improve_precision", 1);
    setenv("FUMI_COVERAGE", "sampled", 1);
    EXPECT_FALSE(config.operations);
    setenv("FUMI_OPERATIONS", "on", 1);
    setenv("FUMI_OUTPUT", "b-%p.fumi", 1);
    setenv("FUMI_APIS", write("l.txt", "torch.mm\n").c_str(), 1);
    config = from_environment(&faults);
    EXPECT_TRUE(faults.empty()) << faults[0].text();
    EXPECT_TRUE(config.has(Mode::improve_precision));
    EXPECT_EQ(config.improve_precision.coverage, Coverage::sampled);
    EXPECT_TRUE(config.operations);
    EXPECT_EQ(config.apis, Texts{"torch.mm"});
    EXPECT_EQ(config.fail_on, Severity::warn);
    EXPECT_EQ(session_path(config, 7), "b-7.fumi");
}

TEST_F(Environment, FaultsAreReportedOnceUnderTheLauncher) {
    setenv("FUMI_MODE", "wild", 1);
    std::vector<Fault> faults;
    EXPECT_TRUE(from_environment(&faults).has(Mode::improve_precision));
    EXPECT_EQ(texts(faults),
              Texts{"FUMI_MODE: mode: 'wild' is not a value of it; the valid names are trace, "
                    "improve_precision, repeat, checksum, add_noise, custom_function and off"});
    faults.clear();
    setenv("FUMI_LAUNCHED", "1", 1);
    from_environment(&faults);
    EXPECT_TRUE(faults.empty());
}

TEST_F(Environment, ASecondProcessOfALaunchedJobGetsItsOwnFile) {
    Config config;
    config.output = directory + "/new/run.fumi";
    EXPECT_EQ(session_path(config, 7), config.output);
    EXPECT_FALSE(fs::exists(config.output));
    setenv("FUMI_LAUNCHED", "1", 1);
    EXPECT_EQ(session_path(config, 7), config.output);
    EXPECT_EQ(session_path(config, 8), directory + "/new/run-8.fumi");
}

TEST_F(Environment, TheDefaultSessionHasTheProcessInItsName) {
    EXPECT_EQ(session_path(Config(), 12), "fumi-12.fumi");
}

}  // namespace
}  // namespace fumi::config
