// What the writer stores is what the views show and the reader gives back, to the last bit.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <limits>

#include "cupti_hook/session/reader.h"
#include "cupti_hook/session/sqlite.h"
#include "tests/session/sample.h"

namespace fumi::session {
namespace {

std::string columns(sqlite3* db, const std::string& view) {
    Statement query(db, "SELECT * FROM " + view);
    std::string names;
    for (int i = 0; i < sqlite3_column_count(query.get()); ++i)
        names += (i > 0 ? ", " : "") + std::string(sqlite3_column_name(query.get(), i));
    return names;
}

TEST(Session, ViewsHaveExactlyTheDocumentedColumns) {
    const ScratchDirectory scratch;
    std::string error;
    { ASSERT_NE(Writer::create(scratch.file("a.fumi"), &error), nullptr) << error; }
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(scratch.file("a.fumi").c_str(), &raw), SQLITE_OK);
    const Database db(raw);
    EXPECT_EQ(columns(raw, "session"), "key, value");
    EXPECT_EQ(columns(raw, "calls"),
              "call_id, start_ns, process, rank, thread, device, stream, library, function, api, op, phase, "
              "location, "
              "module, kernel, shape, dtypes, compute_type, epilogue, algorithm, not_checked, parent");
    EXPECT_EQ(
        columns(raw, "checks"),
        "check_id, call_id, mode, reference, coverage, elements, max_abs_err, max_rel_err, rms_rel_err, "
        "backward_error, bound, effective_bits, amplification, significant_digits, mismatches, nonfinite, "
        "verdict, "
        "reason, check_ns");
    EXPECT_EQ(columns(raw, "nonfinite"), "call_id, api, phase, location, module, function, elements, inputs");
    EXPECT_EQ(columns(raw, "apis"),
              "api, phase, calls, checked, pass, warn, fail, worst_reason, worst_backward_error, "
              "min_effective_bits, "
              "worst_call_id");
    EXPECT_EQ(scalar(raw, "PRAGMA user_version"), "2");
}

TEST(Session, RowsComeBackAsTheyWereWritten) {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("deep/er/a.fumi");
    std::string error;
    CallRecord call = sample_call(7, "torch.mm", Phase::backward);
    call.parent = 3;
    CheckRecord check = sample_check(3, 7, Verdict::fail, 12.25, 8.5);
    check.max_rel_err = std::numeric_limits<double>::infinity();
    check.nonfinite = 2;
    {
        auto writer = Writer::create(path, &error);
        ASSERT_NE(writer, nullptr) << error;
        EXPECT_TRUE(writer->set("device", "first"));
        EXPECT_TRUE(writer->set("device", "softcuda \"x\" \xC2\xB5"));
        EXPECT_TRUE(writer->add(call));
        EXPECT_TRUE(writer->add(check));
    }
    const auto reader = Reader::open(path, &error);
    ASSERT_NE(reader, nullptr) << error;
    EXPECT_EQ(reader->value("device"), "softcuda \"x\" \xC2\xB5");
    int seen = 0;
    reader->checks([&](const Suspect& suspect) {
        ++seen;
        const CallRecord& c = suspect.call;
        EXPECT_EQ(c.call_id, 7);
        EXPECT_EQ(c.start_ns, call.start_ns);
        EXPECT_EQ(c.process, 4711);
        EXPECT_EQ(c.rank, 2);
        EXPECT_EQ(c.thread, 4712);
        EXPECT_EQ(c.device, 1);
        EXPECT_EQ(c.stream, call.stream);
        EXPECT_EQ(c.library + c.function + c.api + c.op, "cublasLtcublasLtMatmultorch.mmaten::addmm");
        EXPECT_EQ(c.phase, Phase::backward);
        EXPECT_EQ(c.location + c.module + c.kernel, "train.py:31blocks.0.mlp.fc1 (Linear)gemm_tn");
        EXPECT_EQ(c.shape + c.dtypes + c.compute_type, call.shape + call.dtypes + "32F");
        EXPECT_EQ(c.epilogue + c.algorithm + c.not_checked, "BIASid=5 tile=20");
        EXPECT_EQ(c.parent, 3);
        const CheckRecord& k = suspect.check;
        EXPECT_EQ(k.check_id, 3);
        EXPECT_EQ(k.mode + k.reference + k.coverage, "improve_precisionfp64full");
        EXPECT_EQ(k.elements, 8192);
        EXPECT_EQ(k.max_abs_err, 1e-6);
        EXPECT_TRUE(std::isinf(k.max_rel_err));
        EXPECT_EQ(k.rms_rel_err, 3e-7);
        EXPECT_EQ(k.backward_error, 12.25);
        EXPECT_EQ(k.bound, 8.5);
        EXPECT_EQ(k.effective_bits, check.effective_bits);
        EXPECT_EQ(k.amplification, 37.5);
        EXPECT_TRUE(std::isnan(k.significant_digits));
        EXPECT_EQ(k.mismatches, 3);
        EXPECT_EQ(k.nonfinite, 2);
        EXPECT_EQ(k.verdict, Verdict::fail);
        EXPECT_EQ(k.reason, "3 elements over their bound");
        EXPECT_EQ(k.check_ns, 1500);
        return true;
    });
    EXPECT_EQ(seen, 1);
}

TEST(Session, AnUnnumberedCheckIsNumbered) {
    const ScratchDirectory scratch;
    std::string error;
    {
        auto writer = Writer::create(scratch.file("a.fumi"), &error);
        writer->add(sample_call(1));
        EXPECT_TRUE(writer->add(sample_check(0, 1, Verdict::pass, 1, 2)));
        EXPECT_TRUE(writer->add(sample_check(0, 1, Verdict::pass, 1, 2)));
    }
    int seen = 0;
    Reader::open(scratch.file("a.fumi"), &error)->checks([&](const Suspect& suspect) {
        EXPECT_EQ(suspect.check.check_id, ++seen);
        return true;
    });
    EXPECT_EQ(seen, 2);
}

TEST(Session, TheReasonOfACallCanComeLater) {
    const ScratchDirectory scratch;
    std::string error;
    {
        auto writer = Writer::create(scratch.file("a.fumi"), &error);
        writer->add(sample_call(1));
        EXPECT_TRUE(writer->update_not_checked(1, "scratch ceiling"));
    }
    const auto missed = Reader::open(scratch.file("a.fumi"), &error)->missed();
    ASSERT_EQ(missed.size(), 1U);
    EXPECT_EQ(missed[0].reason, "scratch ceiling");
}

TEST(Session, AnOldFileAndItsLogAreReplaced) {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("a.fumi");
    for (const char* suffix : {"", "-wal", "-shm"}) {
        std::FILE* file = std::fopen((path + suffix).c_str(), "w");
        std::fputs("something else", file);
        std::fclose(file);
    }
    std::string error;
    {
        auto writer = Writer::create(path, &error);
        ASSERT_NE(writer, nullptr) << error;
        writer->add(sample_call(1));
    }
    EXPECT_EQ(Reader::open(path, &error)->counts().calls, 1);
}

TEST(Session, AnUnwritableDirectoryIsNamedWithTheRemedy) {
    std::string error;
    EXPECT_EQ(Writer::create("/proc/none/a.fumi", &error), nullptr);
    EXPECT_NE(error.find("/proc/none/a.fumi"), std::string::npos) << error;
    EXPECT_NE(error.find("FUMI_OUTPUT"), std::string::npos) << error;
}

TEST(Session, AFailedWriterSaysWhyAndDropsRows) {
    const ScratchDirectory scratch;
    std::string error;
    auto writer = Writer::create(scratch.file("a.fumi"), &error);
    EXPECT_TRUE(writer->add(sample_call(1)));
    EXPECT_FALSE(writer->add(sample_call(1)));  // the same call twice: a constraint of the table
    EXPECT_NE(writer->error().find("a call cannot be stored"), std::string::npos) << writer->error();
    EXPECT_FALSE(writer->add(sample_call(2)));
    EXPECT_FALSE(writer->flush());
}

}  // namespace
}  // namespace fumi::session
