// What FuMi says on stderr, in the program's own output: seldom, one line each, "fumi: ...".
#pragma once

namespace fumi {

void say(const char* format, ...) noexcept __attribute__((format(printf, 1, 2)));

// Once in the process for each `key` (a literal).
void say_once(const char* key, const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));

}  // namespace fumi
