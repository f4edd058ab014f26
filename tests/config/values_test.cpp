#include "config/values.h"

#include <gtest/gtest.h>

#include "config/nearest.h"

namespace fumi::config {
namespace {

TEST(Values, Sizes) {
    EXPECT_EQ(parse_size("256MiB"), 256LL << 20);
    EXPECT_EQ(parse_size("256 mib"), 256LL << 20);
    EXPECT_EQ(parse_size("1.5GiB"), 1610612736);
    EXPECT_EQ(parse_size("2MB"), 2000000);
    EXPECT_EQ(parse_size("4k"), 4096);
    EXPECT_EQ(parse_size("17"), 17);
    for (const char* bad : {"", "MiB", "-1MiB", "1e30GiB", "3 bananas", "nan", "1MiB x"})
        EXPECT_FALSE(parse_size(bad)) << bad;
    EXPECT_EQ(print_size(256LL << 20), "256MiB");
    EXPECT_EQ(print_size(1000), "1000");
    EXPECT_EQ(print_size(0), "0");
}

TEST(Values, Shares) {
    EXPECT_DOUBLE_EQ(*parse_share("3%"), 0.03);
    EXPECT_DOUBLE_EQ(*parse_share("0.5 %"), 0.005);
    EXPECT_DOUBLE_EQ(*parse_share("0.25"), 0.25);
    for (const char* bad : {"", "%", "-3%", "101%", "3", "3pct"}) EXPECT_FALSE(parse_share(bad)) << bad;
    EXPECT_EQ(print_share(0.03), "3%");
}

TEST(Values, Durations) {
    EXPECT_DOUBLE_EQ(*parse_duration("500ms"), 0.5);
    EXPECT_DOUBLE_EQ(*parse_duration("1s"), 1);
    EXPECT_DOUBLE_EQ(*parse_duration("2min"), 120);
    EXPECT_DOUBLE_EQ(*parse_duration("0"), 0);
    for (const char* bad : {"", "1", "s", "-1s", "1 fortnight"}) EXPECT_FALSE(parse_duration(bad)) << bad;
    EXPECT_EQ(print_duration(0.25), "250ms");
    EXPECT_EQ(print_duration(90), "90s");
}

TEST(Nearest, CountsEditsAndSwaps) {
    EXPECT_EQ(edit_distance("", "abc"), 3U);
    EXPECT_EQ(edit_distance("abc", "abc"), 0U);
    EXPECT_EQ(edit_distance("fial", "fail"), 1U);
    EXPECT_EQ(edit_distance("Modes", "modes"), 0U);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Nearest, FarNamesAreNotSuggested) {
    EXPECT_EQ(nearest("mods", {"limits", "modes"}), "modes");
    EXPECT_EQ(nearest("completely", {"limits", "modes"}), "");
    EXPECT_EQ(suggestion("completely", {"limits", "modes"}), "; the valid names are limits and modes");
    EXPECT_EQ(suggestion("x", {}), "");
}

}  // namespace
}  // namespace fumi::config
