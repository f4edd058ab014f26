#include "mapping/forward_nodes.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace fumi::mapping {
namespace {

const Origin* origin_at(const char* location) {
    return intern(Origin{"torch.mm", intern(location), ""});
}

TEST(ForwardNodes, AreFoundUnderTheirThreadAndNumber) {
    ASSERT_TRUE(nodes_reserve());
    nodes_store(3, 10, 13, origin_at("a.py:1"));
    nodes_store(4, 10, 11, origin_at("a.py:2"));
    EXPECT_EQ(nodes_find(3, 9), nullptr);
    EXPECT_EQ(nodes_find(3, 10), origin_at("a.py:1"));
    EXPECT_EQ(nodes_find(3, 12), origin_at("a.py:1"));
    EXPECT_EQ(nodes_find(3, 13), nullptr);
    EXPECT_EQ(nodes_find(4, 10), origin_at("a.py:2"));
    EXPECT_EQ(nodes_find(5, 10), nullptr);
}

TEST(ForwardNodes, AreFoundAgainAfterUse) {
    ASSERT_TRUE(nodes_reserve());
    nodes_store(3, 20, 21, origin_at("b.py:1"));
    EXPECT_NE(nodes_find(3, 20), nullptr);
    EXPECT_NE(nodes_find(3, 20), nullptr);
}

TEST(ForwardNodes, ForgetTheOldestOnly) {
    ASSERT_TRUE(nodes_reserve());
    nodes_store(6, 100, 101, origin_at("old.py:1"));
    nodes_store(6, 101, 101 + node_capacity, origin_at("new.py:1"));
    EXPECT_EQ(nodes_find(6, 100), nullptr);
    EXPECT_EQ(nodes_find(6, 101), origin_at("new.py:1"));
    EXPECT_EQ(nodes_find(6, 100 + node_capacity), origin_at("new.py:1"));
}

TEST(ForwardNodes, OfThreadsThatShareSlotsAreNeverMixedUp) {
    ASSERT_TRUE(nodes_reserve());
    std::vector<std::thread> writers;
    for (std::uint64_t thread = 10; thread < 14; ++thread) {
        writers.emplace_back([thread] {
            const Origin* const own = origin_at(std::to_string(thread).c_str());
            for (std::uint64_t i = 0; i < node_capacity; ++i) {
                nodes_store(thread, i, i + 1, own);
                const Origin* const seen = nodes_find(thread, i);
                ASSERT_TRUE(seen == nullptr || seen == own);
            }
        });
    }
    for (auto& writer : writers) {
        writer.join();
    }
}

TEST(Intern, GivesOneCopyOfEachText) {
    const std::string text = "blocks.0 (Block)";
    EXPECT_EQ(intern(text), intern("blocks.0 (Block)"));
    EXPECT_STREQ(intern(text), text.c_str());
    EXPECT_NE(intern(text), intern("blocks.1 (Block)"));
    EXPECT_STREQ(intern(""), "");
}

TEST(Intern, WorksInAForkedChildOfABusyProcess) {
    intern_prepare_for_fork();
    std::thread busy([] {
        for (int i = 0; i < 100000; ++i) {
            intern("text " + std::to_string(i));
        }
    });
    for (int i = 0; i < 20; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(*intern("child " + std::to_string(i)) != '\0' ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    busy.join();
}

}  // namespace
}  // namespace fumi::mapping
