// Which calls a fault is planted in, and the log of what was planted.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>

#include "tools/softcuda/blas/faults_file.h"

namespace softcuda::faults {
namespace {

constexpr std::array<const char*, 13> names = {"round_inputs_bf16", "round_inputs_tf32",
                                               "fp16_accumulate",   "one_element",
                                               "bit_flip",          "drop_k",
                                               "zero_tile",         "nan",
                                               "negate_row",        "drop_bias_row",
                                               "stale_output",      "swap_columns",
                                               "nondeterministic"};

void complain(const char* what, const char* detail) noexcept {
    static_cast<void>(std::fprintf(stderr, "softcuda: %s: %s\n", what, detail));
}

struct Counted {
    Rule rule;
    std::uint64_t matching = 0;
};

// The rules and their counts. Never destroyed: worker threads log until the process ends.
class Registry {
  public:
    Registry() {
        const char* path = std::getenv("SOFTCUDA_FAULTS");
        if (path == nullptr || *path == '\0') return;
        try {
            for (auto& rule : read_rules(path)) rules_.push_back({std::move(rule)});
        } catch (const std::exception& error) {
            complain("SOFTCUDA_FAULTS is not used, NO FAULT IS PLANTED", error.what());
        }
    }

    bool active() const noexcept { return !rules_.empty(); }

    std::shared_ptr<const Plan> plan(const char* function, const Shape& shape, const char* operation) {
        if (rules_.empty()) return nullptr;
        const std::lock_guard lock(mutex_);
        const std::uint64_t ordinal = ++calls_[function];
        std::shared_ptr<const Plan> chosen;
        for (Counted& counted : rules_) {
            if (!matches(counted.rule, function, shape, operation)) continue;
            const std::uint64_t matching = ++counted.matching;
            const bool due =
                counted.rule.nth != 0 ? matching == counted.rule.nth : matching % counted.rule.every == 0;
            if (!due || chosen != nullptr) continue;  // one fault a call: the first in the file
            auto plan = std::make_shared<Plan>(counted.rule.plan);
            plan->function = function;
            plan->operation = operation;
            plan->shape = shape;
            plan->matching_ordinal = matching;
            plan->function_ordinal = ordinal;
            chosen = std::move(plan);
        }
        return chosen;
    }

    void write(const nlohmann::json& line) {
        const std::lock_guard lock(mutex_);
        if (!log_tried_) {
            log_tried_ = true;
            const char* path = std::getenv("SOFTCUDA_FAULT_LOG");
            if (path == nullptr || *path == '\0') return;
            log_ = std::fopen(path, "ae");
            if (log_ == nullptr) complain("SOFTCUDA_FAULT_LOG cannot be written", path);
        }
        if (log_ == nullptr) return;
        const std::string text = line.dump() + "\n";
        if (std::fputs(text.c_str(), log_) < 0 || std::fflush(log_) != 0)
            complain("SOFTCUDA_FAULT_LOG: a line was lost", text.c_str());
    }

  private:
    static bool matches(const Rule& rule, const char* function, const Shape& shape,
                        const char* operation) noexcept {
        if (!matches_glob(rule.function.c_str(), function) ||
            !matches_glob(rule.operation.c_str(), operation))
            return false;
        for (const auto& [dimension, value] : rule.dimensions) {
            const std::int64_t actual = dimension == 'm'   ? shape.m
                                        : dimension == 'n' ? shape.n
                                        : dimension == 'k' ? shape.k
                                                           : shape.batch;
            if (actual != value) return false;
        }
        return true;
    }

    std::mutex mutex_;
    std::vector<Counted> rules_;
    std::map<std::string, std::uint64_t> calls_;
    std::FILE* log_ = nullptr;
    bool log_tried_ = false;
};

Registry& registry() {
    static auto* const instance = new Registry;
    return *instance;
}

nlohmann::json described(const Plan& plan) {
    nlohmann::json line = {{"function", plan.function},
                           {"kind", name_of(plan.kind)},
                           {"matching_ordinal", plan.matching_ordinal},
                           {"function_ordinal", plan.function_ordinal},
                           {"m", plan.shape.m},
                           {"n", plan.shape.n},
                           {"k", plan.shape.k},
                           {"batch", plan.shape.batch},
                           {"seed", plan.seed}};
    if (!plan.operation.empty()) line["operation"] = plan.operation;
    return line;
}

}  // namespace

const char* name_of(Kind kind) noexcept {
    return names[static_cast<std::size_t>(kind)];
}

std::optional<Kind> kind_named(const std::string& name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i)
        if (name == names[i]) return static_cast<Kind>(i);
    return std::nullopt;
}

bool active() noexcept {
    return registry().active();
}

std::shared_ptr<const Plan> plan(const char* function, const Shape& shape, const char* operation) noexcept {
    try {
        return registry().plan(function, shape, operation);
    } catch (const std::exception& error) {
        complain("a planned fault was lost", error.what());
        return nullptr;
    }
}

void log_planted(const Plan& plan, const Where& where) noexcept {
    try {
        auto line = described(plan);
        const std::pair<const char*, std::int64_t> parts[] = {{"at_batch", where.batch}, {"row", where.row},
                                                              {"col", where.col},        {"rows", where.rows},
                                                              {"cols", where.cols},      {"lost_k", where.k}};
        for (const auto& [key, value] : parts)
            if (value >= 0) line[key] = value;
        if (where.rows < 0 && where.row >= 0 && where.col >= 0) {
            line["before"] = where.before;
            line["after"] = where.after;
        }
        registry().write(line);
    } catch (const std::exception& error) {
        complain("SOFTCUDA_FAULT_LOG: a line was lost", error.what());
    }
}

void log_skipped(const Plan& plan, const char* reason) noexcept {
    try {
        auto line = described(plan);
        line["skipped"] = reason;
        registry().write(line);
    } catch (const std::exception& error) {
        complain("SOFTCUDA_FAULT_LOG: a line was lost", error.what());
    }
}

// splitmix64
Random::Random(const Plan& plan, std::uint64_t run) noexcept
    : state_(plan.seed * 0x9e3779b97f4a7c15u + plan.matching_ordinal * 0xbf58476d1ce4e5b9u + run) {}

std::uint64_t Random::next() noexcept {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::int64_t Random::below(std::int64_t limit) noexcept {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(limit));
}

}  // namespace softcuda::faults
