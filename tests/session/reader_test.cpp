// The reader's aggregates, against rows whose sums are known; and the files that it refuses.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <fstream>

#include "cupti_hook/session/reader.h"
#include "cupti_hook/session/sqlite.h"
#include "tests/session/sample.h"

namespace fumi::session {
namespace {

// linear: 4 forward calls (pass; pass and fail; warn; unchecked) and one backward; mm: one call without a
// check.
std::string write_sample(const ScratchDirectory& scratch) {
    std::string error;
    const std::string path = scratch.file("a.fumi");
    auto writer = Writer::create(path, &error);
    for (std::int64_t id = 1; id <= 4; ++id) writer->add(sample_call(id));
    writer->add(sample_call(5, "torch.nn.functional.linear", Phase::backward));
    writer->add(sample_call(6, "torch.mm"));
    writer->add(sample_check(1, 1, Verdict::pass, 9, 10));
    writer->add(sample_check(2, 2, Verdict::pass, 1, 10));
    writer->add(sample_check(3, 2, Verdict::fail, 4, 2));  // less eta than check 1, but over its bound
    writer->add(sample_check(4, 3, Verdict::warn, 9.9, 10));
    writer->add(sample_check(5, 5, Verdict::pass, 0.5, 10));
    writer->update_not_checked(4, "scratch ceiling");
    writer->update_not_checked(6, "api not chosen");
    return path;
}

TEST(Reader, CountsCallsByTheWorstVerdictOfTheirChecks) {
    const ScratchDirectory scratch;
    std::string error;
    const Counts counts = Reader::open(write_sample(scratch), &error)->counts();
    EXPECT_EQ(counts.calls, 6);
    EXPECT_EQ(counts.checked, 4);
    EXPECT_EQ(counts.pass, 2);
    EXPECT_EQ(counts.warn, 1);
    EXPECT_EQ(counts.fail, 1);
}

// An operation (1) that passes, with two library calls of which one fails; one (4) not checked, with a
// checked call; one (6) without any check.
TEST(Reader, CountsTheLibraryCallsOfAnOperationWithIt) {
    const ScratchDirectory scratch;
    std::string error;
    const std::string path = scratch.file("a.fumi");
    auto writer = Writer::create(path, &error);
    for (std::int64_t id = 1; id <= 7; ++id) {
        CallRecord call = sample_call(id);
        call.parent = id == 2 || id == 3 ? 1 : id == 5 ? 4 : id == 7 ? 6 : 0;
        call.function = call.parent == 0 ? "aten::linear" : "cublasLtMatmul";
        call.not_checked = id == 4 ? "fp64" : id == 6 ? "capture" : id == 7 ? "trace mode" : "";
        writer->add(call);
    }
    writer->add(sample_check(1, 1, Verdict::pass, 1, 10));
    writer->add(sample_check(2, 2, Verdict::fail, 12, 10));
    writer->add(sample_check(3, 3, Verdict::pass, 1, 10));
    writer->add(sample_check(4, 5, Verdict::pass, 1, 10));
    writer.reset();
    const auto reader = Reader::open(path, &error);
    ASSERT_NE(reader, nullptr) << error;
    const Counts counts = reader->counts();
    EXPECT_EQ(counts.calls, 3);
    EXPECT_EQ(counts.checked, 2);
    EXPECT_EQ(counts.pass, 1);
    EXPECT_EQ(counts.fail, 1);
    ASSERT_EQ(reader->missed().size(), 1U);
    EXPECT_EQ(reader->missed()[0].reason + " " + std::to_string(reader->missed()[0].calls), "capture 1");
    EXPECT_EQ(reader->groups(By::api).at(0).calls, 3);
    EXPECT_EQ(reader->groups(By::api).at(0).fail, 1);
    EXPECT_EQ(reader->groups(By::function).at(0).calls, 4);  // each for itself
    EXPECT_EQ(reader->groups(By::function).at(0).checked, 3);
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
    const Database db(raw);
    EXPECT_EQ(scalar(db.get(), "SELECT calls || ' ' || checked || ' ' || fail FROM apis"), "3 2 1");
}

TEST(Reader, GroupsByApiAndPhaseAndAgreesWithTheView) {
    const ScratchDirectory scratch;
    const std::string path = write_sample(scratch);
    std::string error;
    const auto groups = Reader::open(path, &error)->groups(By::api);
    ASSERT_EQ(groups.size(), 3U);
    const Group& linear = groups[0];
    EXPECT_EQ(linear.key + " " + linear.phase, "torch.nn.functional.linear forward");
    EXPECT_EQ(linear.calls, 4);
    EXPECT_EQ(linear.checked, 3);
    EXPECT_EQ(linear.pass, 1);
    EXPECT_EQ(linear.warn, 1);
    EXPECT_EQ(linear.fail, 1);
    EXPECT_EQ(linear.worst_backward_error, 4);
    EXPECT_EQ(linear.worst_bound, 2);
    EXPECT_EQ(linear.worst_call_id, 2);
    EXPECT_EQ(linear.worst_reason, "3 elements over their bound");
    EXPECT_EQ(linear.min_effective_bits, 21.0);
    EXPECT_EQ(linear.max_amplification, 50);
    EXPECT_EQ(linear.check_ns, 6000);
    EXPECT_EQ(groups[2].checked + groups[1].checked, 1);

    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
    const Database db(raw);
    EXPECT_EQ(scalar(raw,
                     "SELECT calls||','||checked||','||pass||','||warn||','||fail||','||worst_reason||','||"
                     "worst_backward_error||','||min_effective_bits||','||worst_call_id FROM apis "
                     "WHERE api LIKE '%linear' AND phase='forward'"),
              "4,3,1,1,1,3 elements over their bound,4.0,21.0,2");
    EXPECT_EQ(scalar(raw, "SELECT calls||','||checked||','||fail FROM apis WHERE api='torch.mm'"), "1,0,0");
    EXPECT_EQ(scalar(raw, "SELECT count(*) FROM apis"), "3");
}

TEST(Reader, EveryColumnGroups) {
    const ScratchDirectory scratch;
    std::string error;
    const auto reader = Reader::open(write_sample(scratch), &error);
    for (const By by : {By::op, By::function, By::kernel, By::location, By::module, By::dtypes}) {
        const auto groups = reader->groups(by);
        ASSERT_EQ(groups.size(), 1U) << name(by);
        EXPECT_EQ(groups[0].calls, 6) << name(by);
        EXPECT_EQ(groups[0].fail, 1) << name(by);
    }
    EXPECT_EQ(reader->groups(By::location)[0].key, "train.py:31");
}

TEST(Reader, WorstComeByVerdictThenByShareOfTheBound) {
    const ScratchDirectory scratch;
    std::string error;
    const auto worst = Reader::open(write_sample(scratch), &error)->worst(3);
    ASSERT_EQ(worst.size(), 3U);
    EXPECT_EQ(worst[0].check.check_id, 3);
    EXPECT_EQ(worst[1].check.check_id, 4);
    EXPECT_EQ(worst[2].check.check_id, 1);
    EXPECT_EQ(worst[0].call.call_id, 2);
}

TEST(Reader, ASampleOfTheChecksKeepsTheSuspects) {
    const ScratchDirectory scratch;
    std::string error, seen;
    const auto reader = Reader::open(write_sample(scratch), &error);
    const auto note = [&seen](const Suspect& suspect) {
        seen += std::to_string(suspect.check.check_id) + " ";
        return true;
    };
    reader->checks(note);
    EXPECT_EQ(seen, "1 2 3 4 5 ");
    seen.clear();
    reader->checks(note, 5);
    EXPECT_EQ(seen, "3 4 5 ");
}

// A sample may miss what another check of the same call sees.
TEST(Reader, TheFirstCallThatIsNotFiniteSaysWhetherItsInputsWere) {
    const ScratchDirectory scratch;
    std::string error;
    const std::string path = scratch.file("a.fumi");
    auto writer = Writer::create(path, &error);
    for (std::int64_t id = 1; id <= 4; ++id) writer->add(sample_call(id));
    writer->add(sample_check(1, 1, Verdict::pass, 1, 10));
    writer->flush();
    EXPECT_FALSE(Reader::open(path, &error)->first_nonfinite());
    const auto add = [&](std::int64_t id, std::int64_t call, std::int64_t elements, int inputs_finite) {
        CheckRecord check = sample_check(id, call, call == 2 ? Verdict::fail : Verdict::pass, 1, 10);
        check.nonfinite = elements;
        check.inputs_finite = inputs_finite;
        writer->add(check);
    };
    add(2, 4, 8, 0);
    add(3, 3, 1, 1);
    add(4, 3, 5, 0);
    add(5, 3, 5, -1);
    writer->flush();
    auto first = Reader::open(path, &error)->first_nonfinite();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->call.call_id, 3);
    EXPECT_EQ(first->elements, 5);
    EXPECT_EQ(first->inputs, "not finite");
    add(6, 2, 1, 1);
    add(7, 2, 1, -1);
    writer->flush();
    first = Reader::open(path, &error)->first_nonfinite();
    EXPECT_EQ(first->call.call_id, 2);
    EXPECT_EQ(first->inputs, "finite");
    EXPECT_EQ(first->verdict, Verdict::fail);
    EXPECT_EQ(first->call.location, "train.py:31");
}

TEST(Reader, UncheckedCallsAreCountedByReason) {
    const ScratchDirectory scratch;
    std::string error;
    const auto missed = Reader::open(write_sample(scratch), &error)->missed();
    ASSERT_EQ(missed.size(), 2U);
    EXPECT_EQ(missed[0].reason, "api not chosen");
    EXPECT_EQ(missed[0].calls + missed[1].calls, 2);
}

TEST(Reader, AnEmptySessionHasNoRowsAndNoErrors) {
    const ScratchDirectory scratch;
    std::string error;
    { Writer::create(scratch.file("a.fumi"), &error); }
    const auto reader = Reader::open(scratch.file("a.fumi"), &error);
    EXPECT_EQ(reader->counts().calls, 0);
    EXPECT_TRUE(reader->groups(By::api).empty());
    EXPECT_TRUE(reader->worst(5).empty());
}

TEST(Reader, RefusesWhatIsNoSession) {
    const ScratchDirectory scratch;
    std::string error;
    EXPECT_EQ(Reader::open(scratch.file("none.fumi"), &error), nullptr);
    EXPECT_NE(error.find("there is no session file"), std::string::npos) << error;
    EXPECT_EQ(Reader::open(scratch.path(), &error), nullptr);
    EXPECT_NE(error.find("is a directory"), std::string::npos) << error;
    std::ofstream(scratch.file("text.fumi")) << std::string(5000, 'x');
    EXPECT_EQ(Reader::open(scratch.file("text.fumi"), &error), nullptr);
    EXPECT_NE(error.find("not a FuMi session"), std::string::npos) << error;
}

TEST(Reader, RefusesANewerSchemaAndSaysSo) {
    const ScratchDirectory scratch;
    const std::string path = write_sample(scratch);
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
    const Database db(raw);
    ASSERT_TRUE(execute(raw, "PRAGMA user_version=99"));
    std::string error;
    EXPECT_EQ(Reader::open(path, &error), nullptr);
    EXPECT_NE(error.find("newer FuMi"), std::string::npos) << error;
}

TEST(Reader, APathWithSpecialCharactersIsRead) {
    const ScratchDirectory scratch;
    std::string error;
    const std::string path = scratch.file("a b%20?x#y.fumi");
    { Writer::create(path, &error)->add(sample_call(1)); }
    EXPECT_EQ(Reader::open(path, &error)->counts().calls, 1);
}

}  // namespace
}  // namespace fumi::session
