// "did you mean": the nearest of the valid names by edit distance.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace fumi::config {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, without regard to case.
std::size_t edit_distance(std::string_view a, std::string_view b);

// "" where no name is near enough to be what was meant (more than a third of the letters differ).
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'modes'?", or "; the valid names are a, b and c" where none is near. "" without candidates.
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace fumi::config
