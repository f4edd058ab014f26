// A process that is killed leaves a readable file; a forked child leaves the file alone.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "cupti_hook/session/reader.h"
#include "tests/session/sample.h"

namespace fumi::session {
namespace {

namespace fs = std::filesystem;

// A child that flushes `flushed` calls with their checks, tells so, and goes on writing until it is killed.
void write_until_killed(const std::string& path, int flushed) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        std::string error;
        auto writer = Writer::create(path, &error);
        for (std::int64_t id = 1; writer != nullptr; ++id) {
            writer->add(sample_call(id));
            writer->add(sample_check(id, id, Verdict::pass, 1, 2));
            if (id % 50 == 0) writer->flush();
            if (id == flushed && write(ready[1], "x", 1) != 1) break;
        }
        _exit(1);
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    usleep(20000);  // somewhere in the middle of adding, flushing and checkpointing
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    close(ready[0]);
    close(ready[1]);
}

TEST(Session, AKilledWriterLeavesAllThatWasFlushed) {
    for (int round = 0; round < 5; ++round) {
        const ScratchDirectory scratch;
        const std::string path = scratch.file("a.fumi");
        write_until_killed(path, 500);
        std::string error;
        const auto reader = Reader::open(path, &error);
        ASSERT_NE(reader, nullptr) << error;
        const Counts counts = reader->counts();
        EXPECT_GE(counts.calls, 500);
        EXPECT_EQ(counts.calls % 50, 0);  // whole transactions
        EXPECT_EQ(counts.checked, counts.calls);
        EXPECT_EQ(reader->groups(By::api)[0].calls, counts.calls);
    }
}

// Reads as a user who may write nothing there; root may write anywhere, so the reading is done as nobody.
TEST(Session, AKilledWritersFileIsReadOnAReadOnlyDirectory) {
    for (const bool keep_index : {true, false}) {
        const ScratchDirectory scratch;
        const std::string path = scratch.file("a.fumi");
        write_until_killed(path, 500);
        ASSERT_TRUE(fs::exists(path + "-wal"));
        if (!keep_index) fs::remove(path + "-shm");
        fs::permissions(scratch.path(), fs::perms(0555));
        const pid_t child = fork();
        if (child == 0) {
            if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
            std::string error;
            const auto reader = Reader::open(path, &error);
            if (reader == nullptr) std::fprintf(stderr, "%s\n", error.c_str());
            _exit(reader != nullptr && reader->counts().calls >= 500 ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        fs::permissions(scratch.path(), fs::perms(0755));
        EXPECT_EQ(status, 0) << (keep_index ? "with" : "without") << " the -shm file";
    }
}

TEST(Session, AFinishedSessionIsOneFileAndStaysOne) {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("a.fumi");
    std::string error;
    { Writer::create(path, &error)->add(sample_call(1)); }
    EXPECT_EQ(Reader::open(path, &error)->counts().calls, 1);
    EXPECT_FALSE(fs::exists(path + "-wal") || fs::exists(path + "-shm"));
}

TEST(Session, AFileIsReadWhileItIsWritten) {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("a.fumi");
    std::string error;
    auto writer = Writer::create(path, &error);
    writer->add(sample_call(1));
    ASSERT_TRUE(writer->flush());
    const auto reader = Reader::open(path, &error);
    ASSERT_NE(reader, nullptr) << error;
    EXPECT_EQ(reader->counts().calls, 1);
    writer->add(sample_call(2));
    EXPECT_TRUE(writer->flush()) << writer->error();
    EXPECT_EQ(reader->counts().calls, 2);
}

TEST(Session, AForkedChildNeitherWritesNorCloses) {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("a.fumi");
    std::string error;
    auto writer = Writer::create(path, &error);
    writer->add(sample_call(1));
    const pid_t child = fork();
    if (child == 0) {
        const bool added = writer->add(sample_call(2)) || writer->flush();
        writer.reset();
        _exit(added ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    writer->add(sample_call(3));
    EXPECT_TRUE(writer->flush()) << writer->error();
    writer.reset();
    EXPECT_EQ(Reader::open(path, &error)->counts().calls, 2);
}

}  // namespace
}  // namespace fumi::session
