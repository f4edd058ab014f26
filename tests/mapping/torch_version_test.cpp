#include "mapping/torch_version.h"

#include <gtest/gtest.h>
#include <torch/version.h>

namespace fumi::mapping {
namespace {

const std::string series = std::to_string(TORCH_VERSION_MAJOR) + '.' + std::to_string(TORCH_VERSION_MINOR);

TEST(TorchVersion, TheTorchOfTheHeadersIsNoOther) {
    EXPECT_EQ(of_another_torch(), nullptr);
}

TEST(TorchVersion, APatchIsNoOther) {
    EXPECT_EQ(of_another_torch(series + ".99"), "");
}

TEST(TorchVersion, AnotherMinorVersionIsNamedWithTheRemedy) {
    const std::string words = of_another_torch(series + "1.0");  // 2.111.0 is not 2.11.0
    EXPECT_NE(words.find("built for torch " + series + "1.0,"), std::string::npos) << words;
    EXPECT_NE(words.find("has torch " TORCH_VERSION), std::string::npos) << words;
    EXPECT_NE(words.find("-DFUMI_PYTHON="), std::string::npos) << words;
}

}  // namespace
}  // namespace fumi::mapping
