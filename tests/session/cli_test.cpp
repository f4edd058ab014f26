// stats, report, check-config, doctor and the command line itself.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/session/cli.h"

namespace fumi::session {
namespace {

using nlohmann::json;

class Cli : public testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(shell(scratch, "$SAMPLE a.fumi mixed").status, 0); }
    Result run(const std::string& command) const { return shell(scratch, command); }
    const ScratchDirectory scratch;
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(Cli, StatsAsJsonGivesTheNumbersThatWereWritten) {
    const Result result = run("$FUMI stats a.fumi --format json");
    ASSERT_EQ(result.status, 0) << result.err;
    const json rows = json::parse(result.out);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0]["api"], "torch.nn.functional.linear");
    EXPECT_EQ(rows[0]["phase"], "forward");
    EXPECT_EQ(rows[0]["calls"], 3);
    EXPECT_EQ(rows[0]["checked"], 3);
    EXPECT_EQ(rows[0]["pass"], 1);
    EXPECT_EQ(rows[0]["warn"], 1);
    EXPECT_EQ(rows[0]["fail"], 1);
    EXPECT_EQ(rows[0]["worst_backward_error"], 120.5);
    EXPECT_EQ(rows[0]["worst_bound"], 10);
    EXPECT_EQ(rows[0]["worst_call_id"], 2);
    EXPECT_EQ(rows[0]["worst_reason"], "3 elements over their bound");
    EXPECT_EQ(rows[0]["min_effective_bits"], 21.125);
    EXPECT_EQ(rows[0]["max_amplification"], 37.5);
    const json& unchecked = rows[1]["api"] == "torch.bmm" ? rows[1] : rows[2];
    EXPECT_EQ(unchecked["checked"], 0);
    EXPECT_TRUE(unchecked["worst_backward_error"].is_null());
    EXPECT_TRUE(unchecked["worst_call_id"].is_null());
}

TEST_F(Cli, StatsAsCsvQuotesWhatMustBe) {
    const Result result = run("$FUMI stats a.fumi --by location --format csv");
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out.substr(0, result.out.find('\n')),
              "location,calls,checked,pass,warn,fail,worst_backward_error,worst_bound,min_effective_bits,max_"
              "amplification,"
              "check_ms,worst_call_id,worst_reason");
    EXPECT_TRUE(
        has(result.out, "train.py:31,4,3,1,1,1,120.5,10,21.125,37.5,0.0045,2,3 elements over their bound\n"))
        << result.out;
    EXPECT_TRUE(has(result.out, "\"odd,\"\"name\"\" </script><b>.py:7\",1,1,1,0,0,2,10,21,50,0.0015,4,\n"))
        << result.out;
}

TEST_F(Cli, StatsGroupsByEveryColumnInEveryFormat) {
    for (const std::string by : {"api", "op", "function", "kernel", "location", "module", "dtypes"}) {
        const Result listed = run("$FUMI stats a.fumi --by " + by + " --format tsv | cut -f1 | head -1");
        EXPECT_EQ(listed.out, by + "\n");
        const Result rows = run("$FUMI stats a.fumi --by " + by + " --format json");
        std::int64_t calls = 0;
        for (const json& row : json::parse(rows.out)) calls += row["calls"].get<std::int64_t>();
        EXPECT_EQ(calls, 5) << by;
        EXPECT_EQ(run("$FUMI stats a.fumi --by " + by).status, 0);
    }
    EXPECT_FALSE(has(run("$FUMI stats a.fumi").out, "\x1b[")) << "no colours in a pipe";
}

TEST_F(Cli, TheReportIsOnePageWithTheData) {
    const Result result = run("$FUMI report a.fumi -o r.html");
    ASSERT_EQ(result.status, 0) << result.err;
    const std::string page = slurp(scratch.file("r.html"));
    for (const char* scheme : {"http://", "https://", "src=", "href=\"//", "@import", "url("})
        EXPECT_FALSE(has(page, scheme)) << scheme;
    const std::string open = "<script id=\"data\" type=\"application/json\">";
    const std::size_t begin = page.find(open) + open.size();
    const json data = json::parse(page.substr(begin, page.find("</script>", begin) - begin));
    EXPECT_EQ(data["counts"]["calls"], 5);
    EXPECT_EQ(data["counts"]["fail"], 1);
    EXPECT_EQ(data["suspects"].size(), 2U);
    EXPECT_EQ(data["suspects"][0]["call"], 2);
    EXPECT_EQ(data["suspects"][0]["eta"], 120.5);
    EXPECT_EQ(data["points"].size(), 4U);
    EXPECT_EQ(data["points"][1][1], 64);  // k of "m=64 n=128 k=64 batch=1 TN"
    EXPECT_EQ(data["missed"][0]["reason"], "scratch ceiling of 256MiB");
    EXPECT_EQ(data["groups"]["location"].size(), 2U);
}

TEST_F(Cli, AnEmptySessionHasAReportToo) {
    ASSERT_EQ(run("$SAMPLE e.fumi empty && $FUMI report e.fumi -o e.html && $FUMI stats e.fumi").status, 0);
    EXPECT_TRUE(has(slurp(scratch.file("e.html")), "no library call was seen"));
}

TEST_F(Cli, FilesThatCannotBeReadOrWrittenAreNamed) {
    Result result = run("$FUMI stats none.fumi");
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(has(result.err, "there is no session file none.fumi")) << result.err;
    result = run("$FUMI report a.fumi -o /proc/none/r.html");
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(has(result.err, "/proc/none/r.html cannot be written")) << result.err;
}

TEST_F(Cli, CheckConfigNamesEachFaultAndItsPlace) {
    Result result =
        run("printf 'mods: [trace]\\nlimits:\\n  scratch: 3%%\\n' >c.yaml; $FUMI check-config c.yaml");
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(has(result.err, "c.yaml:1:1: unknown key 'mods'; did you mean 'modes'?\n")) << result.err;
    EXPECT_TRUE(has(result.err, "c.yaml:3:12: scratch: '3%' is not a size such as 256MiB\n")) << result.err;
    EXPECT_TRUE(has(result.err, "fumi: 2 faults in c.yaml\n")) << result.err;
    result = run("printf 'limits: {scratch: 1GiB}\\n' >c.yaml; $FUMI check-config c.yaml --print");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(has(result.out, "  scratch: 1GiB\n")) << result.out;
    EXPECT_EQ(run("$FUMI check-config c.yaml").out, "c.yaml: no faults\n");
}

TEST_F(Cli, DoctorAnswersAsJson) {
    const Result result = run("FUMI_LIB_DIR=" + scratch.path() + " $FUMI doctor --json");
    const json answer = json::parse(result.out);
    EXPECT_EQ(answer["ok"].get<bool>(), result.status == 0);
    std::string names;
    for (const json& finding : answer["findings"]) {
        names += finding["what"].get<std::string>() + " ";
        if (finding["state"] == "missing") {
            EXPECT_NE(finding["remedy"], "") << finding.dump();
        }
    }
    for (const char* name : {"libfumi_cupti.so", "libfumi_torch.so", "libsoftcuda.so", "device"})
        EXPECT_TRUE(has(names, name)) << names;
}

TEST_F(Cli, MistakesOnTheCommandLineAreUsageErrors) {
    struct Case {
        const char *command, *message;
    };
    for (const Case& c :
         {Case{"$FUMI rnu -- true", "there is no command 'rnu'; did you mean 'run'?"},
          Case{"$FUMI diff a b", "there is no command 'diff'"},
          Case{"$FUMI run", "fumi run -- python train.py"}, Case{"$FUMI run python x.py", "go after --"},
          Case{"$FUMI run --device gpu -- true", "--device"},
          Case{"$FUMI run --mode trase -- true", "did you mean 'trace'?"},
          Case{"$FUMI stats a.fumi --by line", "--by"}, Case{"$FUMI stats", "FILE is required"},
          Case{"$FUMI stats a.fumi -- x", "takes no command"}}) {
        const Result result = run(c.command);
        EXPECT_EQ(result.status, 2) << c.command;
        EXPECT_TRUE(has(result.err, c.message)) << c.command << "\n" << result.err;
        EXPECT_EQ(result.out, "") << c.command;
    }
}

TEST_F(Cli, HelpAndVersion) {
    EXPECT_TRUE(has(run("$FUMI --version").out, "fumi 0."));
    const Result help = run("$FUMI --help");
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(has(help.out, "Exit status"));
    for (const char* name : {"run", "stats", "report", "doctor", "check-config"}) {
        EXPECT_TRUE(has(help.out, name));
        EXPECT_TRUE(has(run("$FUMI " + std::string(name) + " --help").out, "Example")) << name;
    }
}

}  // namespace
}  // namespace fumi::session
